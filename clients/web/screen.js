// The elements of the page and what they say. Decides nothing.

import { sleep } from "./api.js";
import { Feed } from "./feed.js";
import { AudioStrip, Gauge } from "./gauges.js";
import { History } from "./history.js";
import { Overlay } from "./overlay.js";
import { Rules } from "./rules.js";
import { Timeline } from "./timeline.js";

const STATES = {
  idle: "not started",
  starting: "starting",
  joining: "joining",
  connecting: "connecting",
  waiting: "waiting for a place",
  live: "live",
  watching: "watching",
  reconnecting: "reconnecting",
  stopped: "stopped",
};
const RESTING = ["idle", "stopped"];

export const page = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);

export class Screen {
  #countdown = new AbortController();
  #hasRules = false;
  #live = null;
  #picture = null; // newest picture from the service, for viewers
  #conversation;
  #onError;

  /** @param {import("./film.js").Film | null} film of what is sent; null for a viewer */
  constructor(film, conversation, onError) {
    this.#conversation = conversation;
    this.#onError = onError;
    const history = new History();
    const timeline = new Timeline(page.units, page["unit-detail"], history);
    const onSpan = (startS, endS) => timeline.highlight(startS, endS);
    conversation.onSpan = onSpan;
    this.views = {
      history,
      timeline,
      chat: conversation,
      feed: new Feed(page.feed),
      strip: new AudioStrip(page["audio-strip"]),
      overlay: new Overlay(
        page.overlay,
        (timeMs) => (film ? film.at(timeMs) : this.#seen()),
        (delayMs) => showDelay(film ? delayMs : 0),
      ),
      gauges: {
        saved: new Gauge(page.saved, page["saved-line"]),
        lag: new Gauge(page.lag, page["lag-line"]),
        context: new Gauge(page.context, page["context-line"]),
        ttft: new Gauge(page.ttft, page["ttft-line"]),
      },
      texts: { video: page["video-tokens"], audio: page["audio-tokens"], held: page.held },
      rules: new Rules(
        {
          form: page["rule-form"],
          condition: page.condition,
          cooldown: page.cooldown,
          list: page["rule-list"],
          matches: page["rule-matches"],
        },
        { onSpan, onError },
      ),
      onPicture: (url) => this.#show(url),
    };
    page["show-kept"].addEventListener("change", () =>
      page.overlay.classList.toggle("off", !page["show-kept"].checked),
    );
  }

  /** Show a session from its beginning. */
  open(live) {
    this.#live = live;
    page["session-id"].textContent = live.id;
    page.share.disabled = false;
    const { history, timeline, strip, overlay, feed, gauges, texts } = this.views;
    for (const { picture } of history.units.values()) if (picture) URL.revokeObjectURL(picture);
    history.clear();
    timeline.clear();
    strip.clear();
    overlay.clear();
    feed.clear();
    for (const gauge of Object.values(gauges)) gauge.clear();
    for (const text of Object.values(texts)) text.textContent = "-";
    if (this.#hasRules) this.#openRules();
  }

  /** Show the watch rules where the service has them. */
  async offerRules(api) {
    const routes = await api.routes();
    this.#hasRules = routes.includes("/v1/sessions/{}/rules");
    page.rules.hidden = !this.#hasRules;
    // a session that is joined by a link may be open before the routes are known
    if (this.#hasRules && this.#live) this.#openRules();
  }

  #openRules() {
    this.views.rules.open(this.#live).catch(this.#onError);
  }

  setState(state) {
    const isRunning = !RESTING.includes(state);
    this.#countdown.abort();
    page.state.dataset.state = state;
    page.state.textContent = STATES[state];
    page.start.disabled = isRunning;
    page.stop.disabled = !isRunning;
    page.placeholder.hidden = isRunning;
    for (const picker of ["source", "camera", "microphone", "profile"]) {
      page[picker].disabled = isRunning;
    }
  }

  say(text) {
    this.#countdown.abort();
    page.message.textContent = text;
  }

  complain(text) {
    page.alert.textContent = text;
    page.alert.hidden = !text;
  }

  /** Say what is wrong, and count the seconds until the next try. */
  async countDown(text, seconds, signal) {
    this.#countdown.abort();
    this.#countdown = new AbortController();
    const either = AbortSignal.any([signal, this.#countdown.signal]);
    for (let left = Math.ceil(seconds); left > 0; left -= 1) {
      page.message.textContent = `${text} Trying again in ${left} s.`;
      await sleep(Math.min(1000, 1000 * seconds), either);
    }
    page.message.textContent = `${text} Trying again.`;
  }

  /** Say that the connection is being made again, why not yet, and when. */
  sayReconnecting(why, waitMs) {
    const text = why ?? "The connection was lost; the session is kept.";
    // another message ends the count
    this.countDown(text, waitMs / 1000, new AbortController().signal).catch(() => {});
  }

  #seen() {
    return this.#picture ?? BLANK;
  }

  async #show(url) {
    const image = Object.assign(new Image(), { src: url });
    // one that is damaged is as good as none: the patches alone are shown
    if (await image.decode().then(() => true, () => false)) this.#picture = image;
  }
}

// for viewers of a service that keeps no pictures: the patches alone
const BLANK = Object.assign(document.createElement("canvas"), { width: 448, height: 448 });
const pen = BLANK.getContext("2d");
pen.fillStyle = "#5b7bb5";
pen.fillRect(0, 0, BLANK.width, BLANK.height);

function showDelay(delayMs) {
  page.delay.hidden = delayMs === 0;
  page.delay.textContent = `what the model keeps, ${(delayMs / 1000).toFixed(1)} s ago`;
}
