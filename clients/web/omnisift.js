// The way into OmniSIFT Live for any page: a session to publish to, follow and ask.
//
//   import { connect } from "./omnisift.js";
//   const live = await connect({ url: "https://omnisift.example/", key: "osk_..." });
//   await live.publish(await navigator.mediaDevices.getUserMedia({ video: true, audio: true }));
//   for await (const piece of live.ask("What is seen?")) console.log(piece.text ?? piece.answer);
//
// Knows nothing about any page. Documented in docs/clients.md.

import { Api, ApiError, ConnectionLost, sessionPath } from "./api.js";
import { Publisher } from "./publisher.js";

export { Api, ApiError, ConnectionLost };

/**
 * Open a new session, or join one that is there.
 * @param {{url: string, key?: string | (() => string), sessionId?: string, profile?: string}} options
 *   `url` of the service; `key` is an API key or a session's token
 * @returns {Promise<LiveSession>} rejects with ApiError or ConnectionLost
 */
export async function connect({ url, key = "", sessionId, profile }) {
  const api = new Api(url.endsWith("/") ? url : `${url}/`, typeof key === "function" ? key : () => key);
  const record = sessionId
    ? await api.get(sessionPath(sessionId))
    : await api.createSession(profile);
  return new LiveSession(api, record);
}

/** One session of one service; `id` names it, `record` is what it was when joined. */
export class LiveSession {
  #abort = new AbortController();
  #publisher = null;

  constructor(api, record) {
    this.api = api;
    this.record = record;
    this.id = record.id;
  }

  /**
   * Send a stream; lost connections are made again until `close`.
   * @param {MediaStream} stream
   * @param {(state: string, detail: object) => void} onState see `Publisher`
   */
  async publish(stream, onState = () => {}) {
    await this.unpublish();
    this.#publisher = new Publisher(this.api, this.id, stream, onState);
    await this.#publisher.start();
  }

  /** Yield what happens, from the oldest event that is kept; reconnects, until it ends. */
  async *events(onLost = () => {}) {
    for await (const event of this.api.events(this.id, this.#abort.signal, onLost)) {
      if (event.type === "session.moving" && event.stage === "ingest") this.#publisher?.follow();
      yield event;
    }
  }

  /**
   * Ask: yields {type: "token", text} and at last {type: "answer", ...}.
   * @param {{signal?: AbortSignal, windowS?: number}} options `windowS`: only the last seconds
   */
  ask(question, options = {}) {
    return this.api.ask(this.id, question, options);
  }

  /** Units in the log, oldest first. */
  async timeline() {
    return (await this.api.get(`${sessionPath(this.id)}/timeline`)).chunks;
  }

  /** Questions and answers so far. */
  async turns() {
    return (await this.api.get(`${sessionPath(this.id)}/turns`)).data;
  }

  /** The small picture of a unit. */
  async thumbnail(index) {
    const response = await this.api.send(`${sessionPath(this.id)}/chunks/${index}/thumbnail`);
    return response.blob();
  }

  /** A token that lets its holder watch and ask for a while; null where the service makes none. */
  async token(ttlS = 3600) {
    try {
      const body = { scopes: ["ask"], ttl_s: ttlS };
      const response = await this.api.post(`${sessionPath(this.id)}/tokens`, body);
      return (await response.json()).token;
    } catch (error) {
      const isUnknown = [404, 405].includes(error.status) && error.code !== "session_not_found";
      if (isUnknown) return null;
      throw error;
    }
  }

  /** What to be told about; the answers come as `rule.matched` events. */
  get rules() {
    const path = `${sessionPath(this.id)}/rules`;
    return {
      list: async () => (await this.api.get(path)).data,
      add: async (rule) => (await this.api.post(path, rule)).json(),
      remove: (ruleId) =>
        this.api.send(`${path}/${encodeURIComponent(ruleId)}`, { method: "DELETE" }),
    };
  }

  /** Stop sending; the session goes on and can be asked. */
  async unpublish() {
    await this.#publisher?.stop();
    this.#publisher = null;
  }

  /** Stop sending and following; the session stays. */
  async close() {
    this.#abort.abort(new DOMException("closed", "AbortError"));
    await this.unpublish();
  }

  /** End the session itself. */
  async end() {
    await this.api.endSession(this.id);
  }
}
