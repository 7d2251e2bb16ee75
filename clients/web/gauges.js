// The four numbers that say whether it works, and the strip of audio tokens. Knows no session.

const MAX_POINTS = 60;
const STRIP_CHUNKS = 8;

/** A number with its recent course. */
export class Gauge {
  #value;
  #line;
  #points = [];

  /** @param {HTMLElement} value @param {HTMLCanvasElement | null} line */
  constructor(value, line) {
    this.#value = value;
    this.#line = line;
  }

  /** Show a number, and keep it for the line; null: nothing is known. */
  show(number, text) {
    this.#value.textContent = number === null ? "-" : text;
    if (number === null) return;
    this.#points.push(number);
    if (this.#points.length > MAX_POINTS) this.#points.shift();
    if (this.#line) drawLine(this.#line, this.#points);
  }

  clear() {
    this.#points = [];
    this.#value.textContent = "-";
    if (this.#line) drawLine(this.#line, []);
  }
}

function drawLine(canvas, points) {
  const [pen, width, height] = sized(canvas);
  if (points.length < 2) return;
  const top = Math.max(...points, 1e-9) * 1.1;
  const x = (n) => 1 + ((width - 2) * n) / (points.length - 1);
  const y = (value) => height - 1.5 - ((height - 3) * value) / top;
  pen.strokeStyle = pen.fillStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 1.5;
  pen.beginPath();
  points.forEach((value, n) => pen.lineTo(x(n), y(value)));
  pen.stroke();
  pen.lineTo(width - 1, height);
  pen.lineTo(1, height);
  pen.globalAlpha = 0.14;
  pen.fill();
}

/** Audio tokens of the last chunks, a bar each: tall if kept, a stub if dropped. */
export class AudioStrip {
  #canvas;
  #chunks = [];

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  show(chunk) {
    this.#chunks.push({ kept: new Set(chunk.kept.audio), num: chunk.tokens.audio.in });
    if (this.#chunks.length > STRIP_CHUNKS) this.#chunks.shift();
    this.#canvas.dataset.kept = chunk.tokens.audio.kept;
    this.#canvas.setAttribute(
      "aria-label",
      `Audio tokens: ${chunk.tokens.audio.kept} of ${chunk.tokens.audio.in} kept of the last chunk`,
    );
    this.#draw();
  }

  clear() {
    this.#chunks = [];
    this.#draw();
  }

  #draw() {
    const [pen, width, height] = sized(this.#canvas);
    const { color, borderColor } = getComputedStyle(this.#canvas);
    const space = width / STRIP_CHUNKS;
    this.#chunks.forEach(({ kept, num }, n) => {
      const left = width - (this.#chunks.length - n) * space;
      const step = (space - 3) / Math.max(1, num);
      for (let i = 0; i < num; i += 1) {
        const tall = kept.has(i) ? height : height * 0.18;
        pen.fillStyle = kept.has(i) ? color : borderColor;
        pen.fillRect(left + i * step, height - tall, Math.max(0.8, step - 0.6), tall);
      }
    });
  }
}

/** Draw a unit's audio tokens into a small canvas. */
export function drawTokens(canvas, kept, num) {
  const [pen, width, height] = sized(canvas);
  pen.fillStyle = getComputedStyle(canvas).color;
  for (const i of kept) pen.fillRect((i * width) / num, 0, Math.max(1, width / num), height);
}

function sized(canvas) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [pen, width, height];
}
