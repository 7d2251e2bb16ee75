// Publishing by WHIP (RFC 9725). Knows nothing about the page or about where the stream is from.

import { ApiError, sessionPath } from "./api.js";
import { SourceError } from "./words.js";

const GATHER_LIMIT_MS = 2000;
const CONNECT_LIMIT_MS = 15_000;
// ICE recovers from short disconnections by itself; after this long it rarely does
const DISCONNECTED_LIMIT_MS = 2000;
const STOP_LIMIT_MS = 3000;
const OFFER_LIMIT_MS = 20_000;
const PULSE_MS = 500;
// a receiver reports every second or so (RFC 3550, section 6.2); ICE alone notices after 30 s
const SUSPECT_MS = 2000;
const DEAD_MS = 10_000;
const MAX_BITRATE = 1_500_000; // bit/s; the service looks at few pictures per second
const MAX_FRAME_RATE = 15;

/** One connection that sends a stream into a session. */
export class Publication {
  #api;
  #peer;
  #resource = null;
  #onLost;
  #disconnected = 0;
  #pulse = 0;
  #report = "";
  #heardMs = 0;
  #askedMs = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {() => void} onLost called once, when an established connection is lost
   */
  constructor(api, onLost) {
    if (!globalThis.RTCPeerConnection) {
      throw new SourceError(
        "This browser has no WebRTC, or it is switched off. Use a current Chrome, Edge, Firefox or Safari.",
      );
    }
    this.#peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#api = api;
    this.#onLost = onLost;
  }

  /** Offer the stream and wait until media can flow; rejects when it cannot. */
  async start(sessionId, stream, signal) {
    for (const track of stream.getTracks()) {
      const sendEncodings =
        track.kind === "video" ? [{ maxBitrate: MAX_BITRATE, maxFramerate: MAX_FRAME_RATE }] : [{}];
      this.#peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
    }
    this.#peer.setConfiguration({
      ...this.#peer.getConfiguration(),
      iceServers: await this.#iceServers(sessionId),
    });
    await this.#peer.setLocalDescription();
    await this.#gathered();
    const response = await this.#api.send(`${sessionPath(sessionId)}/whip`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: this.#peer.localDescription.sdp,
      signal: AbortSignal.any([AbortSignal.timeout(OFFER_LIMIT_MS), ...(signal ? [signal] : [])]),
    });
    this.#resource = new URL(response.headers.get("Location"), response.url).href;
    await this.#peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await this.#connected();
    this.#peer.onconnectionstatechange = () => this.#watch();
    this.#heardMs = this.#askedMs = performance.now();
    this.#pulse = setInterval(() => this.#feelPulse(), PULSE_MS);
  }

  /** Tell the service, then close the connection; safe at any time and more than once. */
  async stop() {
    this.#end();
    const resource = this.#resource;
    this.#resource = null;
    if (resource !== null) {
      // a service that is away will find out by itself; keepalive outlives the page
      const signal = AbortSignal.timeout(STOP_LIMIT_MS);
      await this.#api.send(resource, { method: "DELETE", keepalive: true, signal }).catch(() => {});
    }
    this.#peer.close();
  }

  // what the service says about STUN and TURN (RFC 9725, section 4.6)
  async #iceServers(sessionId) {
    try {
      const signal = AbortSignal.timeout(STOP_LIMIT_MS);
      const path = `${sessionPath(sessionId)}/whip`;
      const response = await this.#api.send(path, { method: "OPTIONS", signal });
      return iceServersOf(response.headers.get("Link") ?? "");
    } catch {
      return []; // on one network it goes without
    }
  }

  #gathered() {
    const peer = this.#peer;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GATHER_LIMIT_MS);
      const check = () => {
        if (peer.iceGatheringState !== "complete") return;
        clearTimeout(timer);
        resolve();
      };
      peer.onicegatheringstatechange = check;
      check();
    });
  }

  #connected() {
    const peer = this.#peer;
    const failure = new Error(
      "No media path to the service: a firewall may block UDP between here and there.",
    );
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(failure), CONNECT_LIMIT_MS);
      const check = () => {
        if (!["connected", "failed", "closed"].includes(peer.connectionState)) return;
        clearTimeout(timer);
        if (peer.connectionState === "connected") resolve();
        else reject(failure);
      };
      peer.onconnectionstatechange = check;
      check();
    });
  }

  #watch() {
    clearTimeout(this.#disconnected);
    const state = this.#peer.connectionState;
    if (state === "disconnected") {
      this.#disconnected = setTimeout(() => this.#lose(), DISCONNECTED_LIMIT_MS);
    } else if (state === "failed" || state === "closed") {
      this.#lose();
    }
  }

  // silence is a reason to ask the service by another way, a longer one is an answer in itself
  async #feelPulse() {
    const nowMs = performance.now();
    const report = await this.#lastReport();
    if (report !== this.#report) [this.#report, this.#heardMs] = [report, nowMs];
    if (this.#peer.onconnectionstatechange === null) return;
    if (nowMs - this.#heardMs > DEAD_MS) this.#lose();
    else if (nowMs - Math.max(this.#heardMs, this.#askedMs) > SUSPECT_MS) {
      this.#askedMs = nowMs;
      if (!(await this.#isHeld()) && this.#peer.onconnectionstatechange !== null) this.#lose();
    }
  }

  async #lastReport() {
    const heard = [];
    for (const entry of (await this.#peer.getStats()).values()) {
      if (entry.type === "remote-inbound-rtp") heard.push(entry.timestamp);
    }
    return heard.join();
  }

  async #isHeld() {
    try {
      await this.#api.send(this.#resource, { signal: AbortSignal.timeout(SUSPECT_MS) });
    } catch (error) {
      return !(error instanceof ApiError && error.status === 404);
    }
    return true;
  }

  #lose() {
    this.#end();
    this.#onLost();
  }

  #end() {
    clearTimeout(this.#disconnected);
    clearInterval(this.#pulse);
    this.#peer.onconnectionstatechange = null;
  }
}

/** ICE servers named by a Link header. */
export function iceServersOf(links) {
  const servers = [];
  for (const [, urls, rest] of links.matchAll(/<([^>]*)>((?:[^,"]|"[^"]*")*)/g)) {
    const fields = Object.fromEntries(
      [...rest.matchAll(/;\s*([\w-]+)="?([^";]*)"?/g)].map(([, name, value]) => [name, value]),
    );
    if (fields.rel !== "ice-server") continue;
    const { username, credential } = fields;
    servers.push({ urls, ...(username && { username, credential }) });
  }
  return servers;
}
