// Shows which patches of the picture were kept, on the very frames that they are from: the picture
// is shown as late as the service knows about it. Knows nothing about events or media.

const SHADE = "rgb(8 12 20 / 72%)";
const EDGE = "rgb(255 255 255 / 55%)";
const GRID_MS = 1000; // a temporal grid covers one second of stream
const FRAMES_PER_S = 12;
const MARGIN_MS = 400; // events do not come to the millisecond
const MAX_GRIDS = 24;
const STALE_MS = 3 * GRID_MS; // then nothing is known about the picture, and it is shown as it is

export class Overlay {
  #canvas;
  #pictureAt;
  #grids = [];
  #delayMs = 0;
  #timer = 0;
  #onDelay;

  /**
   * @param {HTMLCanvasElement} canvas lies exactly over the video element
   * @param {(timeMs: number) => CanvasImageSource | null} pictureAt what was seen at a moment
   * @param {(delayMs: number) => void} onDelay told how old what is shown is, 0 for nothing
   */
  constructor(canvas, pictureAt, onDelay) {
    this.#canvas = canvas;
    this.#pictureAt = pictureAt;
    this.#onDelay = onDelay;
    this.clear();
  }

  /**
   * Take a chunk's grids, one second each.
   * @param {number[][]} kept per grid: indices of kept patches, row by row
   * @param {[number, number][]} sizes per grid: rows and columns of patches
   * @param {number} endMs when the chunk ended, on the clock of `performance.now()`
   */
  show(kept, sizes, endMs) {
    const startMs = endMs - kept.length * GRID_MS;
    kept.forEach((indices, n) => {
      const [rows, columns] = sizes[n];
      this.#grids.push({ atMs: startMs + n * GRID_MS, indices: new Set(indices), rows, columns });
    });
    this.#grids.splice(0, this.#grids.length - MAX_GRIDS);
    this.#delayMs = performance.now() - startMs + MARGIN_MS;
    this.#timer ||= setInterval(() => this.#draw(), 1000 / FRAMES_PER_S);
    this.#onDelay(this.#delayMs);
    this.#draw();
  }

  clear() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#grids = [];
    this.#canvas.hidden = true;
    this.#canvas.dataset.kept = 0;
    this.#onDelay(0);
  }

  #draw() {
    const shownMs = performance.now() - this.#delayMs;
    const grid = this.#grids.findLast(({ atMs }) => atMs <= shownMs) ?? this.#grids[0];
    const picture = this.#pictureAt(shownMs);
    if (!grid || !picture) return;
    this.#canvas.hidden = shownMs - grid.atMs > STALE_MS;
    if (this.#canvas.hidden) return this.#onDelay(0);
    this.#canvas.dataset.kept = grid.indices.size;
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    const box = fit(picture, clientWidth, clientHeight);
    pen.drawImage(picture, box.x, box.y, box.width, box.height);
    drawGrid(pen, grid, box);
  }
}

function drawGrid(pen, { indices, rows, columns }, box) {
  const width = box.width / columns;
  const height = box.height / rows;
  pen.fillStyle = SHADE;
  pen.strokeStyle = EDGE;
  for (let index = 0; index < rows * columns; index += 1) {
    const x = box.x + (index % columns) * width;
    const y = box.y + Math.floor(index / columns) * height;
    if (indices.has(index)) pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    else pen.fillRect(x, y, width + 0.5, height + 0.5);
  }
}

// where `object-fit: contain` puts a picture
function fit(picture, spaceX, spaceY) {
  const scale = Math.min(spaceX / picture.width, spaceY / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { x: (spaceX - width) / 2, y: (spaceY - height) / 2, width, height };
}
