// The media that the service fetches for a session, and how it stands. Knows no other part.

/** The line under the picture that says where a session's media comes from, if not from a page. */
export class Feed {
  #line;
  #isOver = true;

  /** @param {HTMLElement} line hidden while there is nothing to say */
  constructor(line) {
    this.#line = line;
  }

  /** @param {{url: string | null, speed: string, state: string, reason: string | null}} source */
  show(source) {
    this.#isOver = ["ended", "failed"].includes(source.state);
    this.#line.textContent = describeSource(source);
    this.#line.dataset.state = source.state;
    this.#line.hidden = false;
  }

  /** Somebody begins to publish: a source that is over is not who feeds the session now. */
  hideOld() {
    if (this.#isOver) this.clear();
  }

  clear() {
    this.#line.hidden = true;
    this.#line.textContent = "";
    delete this.#line.dataset.state;
  }
}

/** One line about a source, in words for a person. */
export function describeSource({ url, speed, state, reason }) {
  const name = url ?? "an uploaded recording";
  const how = speed === "fast" && state === "live" ? "live, played fast" : state;
  return `Fed by ${name}: ${how}${reason ? ` (${reason})` : ""}`;
}
