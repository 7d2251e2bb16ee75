// The last seconds of a video, so that what is known about them later can be shown with them.
// Knows nothing about sessions or tokens.

const FRAMES_PER_S = 12;
const LENGTH = 8 * FRAMES_PER_S;
const MAX_SIDE_PX = 448;
const THUMBNAIL_PX = 144;

export class Film {
  #video;
  #frames = []; // {atMs, canvas}, oldest first
  #timer = 0;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  start() {
    this.stop();
    this.#timer = setInterval(() => this.#take(), 1000 / FRAMES_PER_S);
  }

  stop() {
    clearInterval(this.#timer);
    this.#frames = [];
  }

  /** The frame seen at a moment of `performance.now()`, null if there is none. */
  at(timeMs) {
    let found = null;
    for (const frame of this.#frames) {
      if (frame.atMs > timeMs) break;
      found = frame;
    }
    return (found ?? this.#frames[0])?.canvas ?? null;
  }

  /** A small picture of that moment: URL of a blob, "" if there is none. */
  async thumbnail(timeMs) {
    const frame = this.at(timeMs);
    if (!frame) return "";
    const scale = THUMBNAIL_PX / Math.max(frame.width, frame.height);
    const small = new OffscreenCanvas(scale * frame.width, scale * frame.height);
    small.getContext("2d").drawImage(frame, 0, 0, small.width, small.height);
    return URL.createObjectURL(await small.convertToBlob({ type: "image/jpeg", quality: 0.7 }));
  }

  #take() {
    const { videoWidth, videoHeight } = this.#video;
    if (!videoWidth) return;
    // the oldest canvas is used again: no garbage while it runs
    const isFull = this.#frames.length === LENGTH;
    const canvas = isFull ? this.#frames.shift().canvas : document.createElement("canvas");
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(videoWidth, videoHeight));
    const [width, height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d", { alpha: false }).drawImage(this.#video, 0, 0, width, height);
    this.#frames.push({ atMs: performance.now(), canvas });
  }
}
