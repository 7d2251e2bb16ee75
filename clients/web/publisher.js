// Keeps a stream flowing into a session, over as many connections as it takes. Knows no page.

import { ApiError, backoffMs, sleep } from "./api.js";
import { Publication } from "./whip.js";
import { isPassing } from "./words.js";

// a session without a publisher ends after five minutes: later there is nothing to come back to
const OUTAGE_LIMIT_MS = 300_000;
// the feed tells of a move also while it happens, when this publisher has come along already
const MOVED_ALONG_MS = 3000;

/**
 * @typedef {"connecting" | "live" | "reconnecting" | "failed"} PublisherState
 * With "reconnecting" come `error` and `waitMs`, with "failed" comes `error`.
 */
export class Publisher {
  #api;
  #sessionId;
  #stream;
  #onState;
  #abort = new AbortController();
  #publication = null;
  #liveSinceMs = 0;
  #isRetrying = false;
  #wake = () => {};

  /**
   * @param {import("./api.js").Api} api
   * @param {string} sessionId
   * @param {MediaStream} stream
   * @param {(state: PublisherState, detail: {error?: Error, waitMs?: number}) => void} onState
   */
  constructor(api, sessionId, stream, onState) {
    this.#api = api;
    this.#sessionId = sessionId;
    this.#stream = stream;
    this.#onState = onState;
    window.addEventListener("online", () => this.#wake(), { signal: this.#abort.signal });
  }

  /** Connect; resolves when media flows, rejects when the first connection cannot be made. */
  async start() {
    this.#onState("connecting", {});
    await this.#connect();
  }

  /** The session's owner has changed: come along at once, where this is not done already. */
  follow() {
    const isNew = performance.now() - this.#liveSinceMs < MOVED_ALONG_MS;
    if (this.#isRetrying) this.#wake();
    else if (!isNew) this.#retry(null);
  }

  /** Hang up; safe at any time and more than once. */
  async stop() {
    this.#abort.abort(new DOMException("stopped", "AbortError"));
    await this.#publication?.stop();
  }

  get #isOver() {
    return this.#abort.signal.aborted;
  }

  async #connect() {
    const publication = new Publication(this.#api, () => this.#retry(null));
    this.#publication = publication;
    await publication.start(this.#sessionId, this.#stream, this.#abort.signal);
    if (this.#isOver) return publication.stop();
    this.#liveSinceMs = performance.now();
    this.#onState("live", {});
  }

  async #retry(error) {
    if (this.#isRetrying || this.#isOver) return;
    this.#isRetrying = true;
    const beganMs = performance.now();
    for (let attempt = 1; !this.#isOver; attempt += 1) {
      const waitMs = waitOf(error, attempt);
      this.#onState("reconnecting", { error, waitMs });
      try {
        await this.#publication.stop();
        await this.#pause(waitMs);
        await this.#connect();
        break;
      } catch (failure) {
        if (this.#isOver) break;
        error = failure;
        if (!isPassing(error) || performance.now() - beganMs > OUTAGE_LIMIT_MS) {
          this.#onState("failed", { error });
          break;
        }
      }
    }
    this.#isRetrying = false;
  }

  // a network that is back ends the wait
  #pause(waitMs) {
    const woken = new Promise((resolve) => (this.#wake = resolve));
    return Promise.race([sleep(waitMs, this.#abort.signal), woken]);
  }
}

function waitOf(error, attempt) {
  const asked = error instanceof ApiError && error.retryAfterS !== null ? error.retryAfterS : 0;
  return Math.max(1000 * asked, backoffMs(attempt));
}
