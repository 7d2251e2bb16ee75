// Shows on the picture which of its patches were kept. Knows nothing about events or media.

const SHADE = "rgb(0 0 0 / 62%)";
const EDGE = "rgb(255 255 255 / 45%)";
const GRID_MS = 1000; // a temporal grid covers one second of stream

export class Overlay {
  #canvas;
  #video;
  #grids = [];
  #shown = 0;
  #timer = 0;

  /**
   * @param {HTMLCanvasElement} canvas lies exactly over the video element
   * @param {HTMLVideoElement} video
   */
  constructor(canvas, video) {
    this.#canvas = canvas;
    this.#video = video;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /**
   * Show a chunk's grids, one second each.
   * @param {number[][]} kept per grid: indices of kept patches, row by row
   * @param {[number, number][]} sizes per grid: rows and columns of patches
   */
  show(kept, sizes) {
    this.#grids = kept.map((indices, n) => ({ indices: new Set(indices), size: sizes[n] }));
    this.#shown = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#next(), GRID_MS);
    this.#draw();
  }

  clear() {
    clearInterval(this.#timer);
    this.#grids = [];
    this.#draw();
  }

  #next() {
    if (this.#shown + 1 >= this.#grids.length) {
      clearInterval(this.#timer);
      return;
    }
    this.#shown += 1;
    this.#draw();
  }

  #draw() {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    const grid = this.#grids[this.#shown];
    this.#canvas.dataset.kept = grid?.size ? grid.indices.size : 0;
    if (!grid?.size || !this.#video.videoWidth) return;
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    this.#drawGrid(pen, grid, this.#pictureBox());
  }

  #drawGrid(pen, { indices, size: [rows, columns] }, box) {
    const width = box.width / columns;
    const height = box.height / rows;
    pen.fillStyle = SHADE;
    pen.strokeStyle = EDGE;
    for (let index = 0; index < rows * columns; index += 1) {
      const x = box.x + (index % columns) * width;
      const y = box.y + Math.floor(index / columns) * height;
      if (indices.has(index)) pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
      else pen.fillRect(x, y, width, height);
    }
  }

  // where `object-fit: contain` puts the picture
  #pictureBox() {
    const { clientWidth, clientHeight } = this.#canvas;
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
    const width = videoWidth * scale;
    const height = videoHeight * scale;
    return { x: (clientWidth - width) / 2, y: (clientHeight - height) / 2, width, height };
  }
}
