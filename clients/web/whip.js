// Publishing by WHIP (RFC 9725). Knows nothing about the page or about where the stream is from.

import { sessionPath } from "./api.js";

const GATHER_LIMIT_MS = 2000;
const CONNECT_LIMIT_MS = 15_000;
// ICE recovers from short disconnections by itself; after this long it rarely does
const DISCONNECTED_LIMIT_MS = 2000;
const STOP_LIMIT_MS = 3000;
const MAX_BITRATE = 1_500_000; // bit/s; the service looks at few pictures per second
const MAX_FRAME_RATE = 15;

/** One connection that sends a stream into a session. */
export class Publication {
  #api;
  #peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  #resource = null;
  #onLost;
  #disconnected = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {() => void} onLost called once, when an established connection is lost
   */
  constructor(api, onLost) {
    this.#api = api;
    this.#onLost = onLost;
  }

  /** Offer the stream and wait until media can flow; rejects when it cannot. */
  async start(sessionId, stream) {
    for (const track of stream.getTracks()) {
      const sendEncodings =
        track.kind === "video" ? [{ maxBitrate: MAX_BITRATE, maxFramerate: MAX_FRAME_RATE }] : [{}];
      this.#peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
    }
    await this.#peer.setLocalDescription();
    await this.#gathered();
    const response = await this.#api.send(`${sessionPath(sessionId)}/whip`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: this.#peer.localDescription.sdp,
    });
    this.#resource = new URL(response.headers.get("Location"), response.url).href;
    await this.#peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await this.#connected();
    this.#peer.onconnectionstatechange = () => this.#watch();
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

  #lose() {
    this.#end();
    this.#onLost();
  }

  #end() {
    clearTimeout(this.#disconnected);
    this.#peer.onconnectionstatechange = null;
  }
}
