// The service's REST interface. Knows nothing about the page or about media.

import { readEvents } from "./sse.js";

const SILENCE_LIMIT_MS = 45_000; // the service says something at least every 15 s

/**
 * The service said no; `code` and `retryable` are for programs, `message` is for people,
 * `retryAfterS` says when to come back, null where the service does not.
 */
export class ApiError extends Error {
  constructor(status, error, retryAfterS = null) {
    super(error?.message ?? `the service answered with status ${status}`);
    this.status = status;
    this.code = error?.code ?? `http_${status}`;
    this.retryable = error?.retryable ?? status >= 502;
    this.retryAfterS = retryAfterS;
  }

  /** May be over in a moment: a proxy says 500 as a replica dies, and 404 while none is there. */
  get isOutage() {
    return this.retryable || this.status >= 500 || this.code === "http_404";
  }
}

/** The service cannot be reached, or the connection broke. */
export class ConnectionLost extends Error {}

/** Waits that double, with jitter: many pages must not return in step. */
export function backoffMs(attempt) {
  return Math.min(8000, 500 * 2 ** (attempt - 1)) * (0.5 + 0.5 * Math.random());
}

/** Resolve after `ms`; reject when `signal` aborts. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), {
      once: true,
    });
  });
}

export class Api {
  /**
   * @param {string} base URL of the service, with a slash at its end
   * @param {() => string} key gives the API key, "" for none
   */
  constructor(base, key) {
    this.base = base;
    this.key = key;
  }

  async createSession(profile) {
    const response = await this.post("v1/sessions", profile ? { profile } : {});
    return response.json();
  }

  async endSession(sessionId) {
    await this.send(sessionPath(sessionId), { method: "DELETE", keepalive: true });
  }

  /** GET a path as JSON. */
  async get(path) {
    const response = await this.send(path);
    return response.json();
  }

  /** Routes that this service has, as its OpenAPI description names them; empty if it hides it. */
  async routes() {
    const spec = await this.get("openapi.json").catch(() => null);
    return Object.keys(spec?.paths ?? {}).map((path) => path.replace(/\{\w+\}/g, "{}"));
  }

  /** Yield {type: "token", text} and at last {type: "answer", ...}. */
  async *ask(sessionId, question, { signal, windowS } = {}) {
    const path = `${sessionPath(sessionId)}/query`;
    const body = { question, stream: true, ...(windowS && { window_s: windowS }) };
    const response = await this.post(path, body, signal);
    for await (const event of this.#received(response)) {
      const data = JSON.parse(event.data);
      if (event.type === "error") throw new ApiError(503, data.error);
      yield { type: event.type, ...data };
      if (event.type === "answer") return;
    }
    throw new ConnectionLost("The connection broke before the answer was complete. Ask again.");
  }

  /**
   * Yield a session's events until it ends, reconnecting where the connection is lost.
   * @param {(error: Error | null) => void} onLost told of every lost connection
   */
  async *events(sessionId, signal, onLost) {
    let cursor = "";
    for (let attempt = 0; ; attempt += 1) {
      let failure = null;
      const silence = new Silence(signal);
      try {
        const headers = cursor ? { "Last-Event-ID": cursor } : {};
        const path = `${sessionPath(sessionId)}/events`;
        const response = await this.send(path, { headers, signal: silence.signal });
        for await (const event of this.#received(response, () => silence.broken())) {
          attempt = 0;
          cursor = event.id || cursor;
          yield JSON.parse(event.data);
          if (event.type === "session.ended") return;
        }
      } catch (error) {
        failure = error;
      } finally {
        silence.end();
      }
      signal.throwIfAborted();
      if (failure instanceof ApiError && !failure.isOutage) throw failure;
      onLost(failure);
      await sleep(backoffMs(attempt + 1), signal);
    }
  }

  post(path, body, signal) {
    const headers = { "Content-Type": "application/json" };
    return this.send(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  }

  /** `fetch` with the key; rejects with ApiError, ConnectionLost, or the reason of an abort. */
  async send(path, options = {}) {
    const key = this.key();
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    let response;
    try {
      response = await fetch(new URL(path, this.base), { ...options, headers });
    } catch (error) {
      options.signal?.throwIfAborted();
      throw new ConnectionLost("The service cannot be reached.", { cause: error });
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => null);
    const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    throw new ApiError(response.status, body?.error, Number.isFinite(wait) ? wait : null);
  }

  async *#received(response, onData) {
    try {
      yield* readEvents(response, onData);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ConnectionLost("The connection to the service broke.", { cause: error });
    }
  }
}

/** Aborts a request when nothing was heard for too long. */
class Silence {
  constructor(signal) {
    this.controller = new AbortController();
    this.signal = AbortSignal.any([signal, this.controller.signal]);
    this.broken();
  }

  broken() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.controller.abort(), SILENCE_LIMIT_MS);
  }

  end() {
    clearTimeout(this.timer);
  }
}

export function sessionPath(sessionId) {
  return `v1/sessions/${encodeURIComponent(sessionId)}`;
}
