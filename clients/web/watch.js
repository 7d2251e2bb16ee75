// Follows one session and shows what happens to it. Knows no media and no controls.

import { ApiError } from "./api.js";
import { keptPercent } from "./history.js";

const REFRESH_MS = 4000;

/** From joining a session to leaving it. `views` are the parts of the page that show it. */
export class Watch {
  #live;
  #views;
  #history;
  #film;
  #hooks;
  #isOver = false;
  #lastChunk = -1;
  #refresh = 0;
  #isFetching = false;

  /**
   * @param {import("./omnisift.js").LiveSession} live
   * @param {object} views history, timeline, gauges, strip, overlay, feed, rules, chat
   * @param {import("./film.js").Film | null} film of what is being sent, null for a viewer
   * @param {{onEvent: (event: object) => void, onLost: (error: Error | null) => void,
   *   onError: (error: Error) => void}} hooks
   */
  constructor(live, views, film, hooks) {
    this.#live = live;
    this.#views = views;
    this.#history = views.history;
    this.#film = film;
    this.#hooks = hooks;
  }

  get hasMedia() {
    return this.#lastChunk >= 0;
  }

  /** Follow until the session ends or `leave`. */
  async run() {
    this.#refresh = setInterval(() => this.#takeTimeline(), REFRESH_MS);
    this.#takeTimeline();
    try {
      for await (const event of this.#live.events(this.#hooks.onLost)) this.#take(event);
    } catch (error) {
      if (!this.#isOver) this.#hooks.onError(error);
    } finally {
      clearInterval(this.#refresh);
    }
  }

  leave() {
    this.#isOver = true;
    clearInterval(this.#refresh);
  }

  #take(event) {
    if (this.#isOver) return;
    if (event.type === "chunk") this.#takeChunk(event);
    else if (event.type === "turn") this.#takeTurn(event);
    else if (event.type === "rule.matched") this.#takeMatch(event);
    else if (event.type === "scene.cut") this.#takeCut(event);
    else if (event.type === "source.state") this.#views.feed.show(event);
    else if (event.type === "session.connecting") this.#views.feed.hideOld();
    this.#hooks.onEvent(event);
  }

  #takeChunk(chunk) {
    if (chunk.index <= this.#lastChunk) return;
    this.#lastChunk = chunk.index;
    const { unit } = this.#history.addUnit(chunk);
    const { timeline, strip, overlay } = this.#views;
    strip.show(chunk);
    timeline.show(unit);
    for (const gone of this.#history.trim()) this.#forget(gone);
    this.#showNumbers(chunk);
    const endMs = performance.now() - 1000 * (chunk.lag_s ?? 0);
    overlay.show(chunk.kept.video, chunk.grid_sizes, endMs);
    if (!this.#film) this.#takeTimeline();
    else this.#picture(unit, endMs - 1000 * (chunk.end_s - chunk.start_s) * 0.5);
  }

  async #picture(unit, timeMs) {
    const picture = await this.#film.thumbnail(timeMs);
    const known = this.#history.units.get(unit.index);
    if (!picture || !known || known.picture) URL.revokeObjectURL(picture);
    else this.#views.timeline.show(this.#history.addUnit({ ...known, picture }).unit);
  }

  #takeTurn(turn) {
    this.#history.addTurn(turn);
    this.#views.timeline.mark(turn.context_end_s, "question", turn.question);
    this.#views.chat.addOther(turn);
    if (Number.isFinite(turn.ttft_s)) {
      this.#views.gauges.ttft.show(turn.ttft_s, milliseconds(turn.ttft_s));
    }
  }

  #takeMatch(event) {
    this.#history.addMatch(event);
    const index = event.index ?? event.chunk_index;
    const unit = this.#history.units.get(index);
    this.#views.rules.match(event, unit, unit?.picture ?? "");
    const timeS = event.end_s ?? unit?.end_s;
    if (timeS) this.#views.timeline.mark(timeS, "match", event.condition ?? "rule matched");
  }

  #takeCut(event) {
    const unit = this.#history.units.get(event.index ?? event.chunk_index);
    if (unit) this.#views.timeline.show(this.#history.addUnit({ ...unit, is_cut: true }).unit);
  }

  // what is still held of each unit, and pictures: only the timeline knows
  async #takeTimeline() {
    if (this.#isFetching) return;
    this.#isFetching = true;
    try {
      for (const data of await this.#live.timeline()) this.#views.timeline.show(this.#merge(data));
      for (const gone of this.#history.trim()) this.#forget(gone);
      await this.#fetchPictures();
      this.#showHeld();
    } catch (error) {
      if (error instanceof ApiError && !error.isOutage) this.leave();
    } finally {
      this.#isFetching = false;
    }
  }

  #merge(data) {
    return this.#history.addUnit(data).unit;
  }

  async #fetchPictures() {
    const wanted = [...this.#history.units.values()].filter((u) => u.has_thumbnail && !u.picture);
    for (const { index } of wanted.slice(-30).reverse()) {
      const blob = await this.#live.thumbnail(index).catch(() => null);
      const unit = this.#history.units.get(index);
      if (!blob || !unit || this.#isOver) continue;
      const picture = URL.createObjectURL(blob);
      this.#views.timeline.show(this.#history.addUnit({ ...unit, picture }).unit);
      if (index === wanted.at(-1).index) this.#views.onPicture(picture);
    }
  }

  #forget(unit) {
    this.#views.timeline.remove([unit]);
    if (unit.picture) URL.revokeObjectURL(unit.picture);
  }

  #showNumbers(chunk) {
    const { gauges, texts } = this.#views;
    const totals = this.#history.totals;
    const saved = 100 - (keptPercent(chunk.tokens) ?? 100);
    gauges.saved.show(saved, `${(100 - (keptPercent(totals) ?? 100)).toFixed(0)} %`);
    texts.video.textContent = `${totals.video.in} → ${totals.video.kept}`;
    texts.audio.textContent = `${totals.audio.in} → ${totals.audio.kept}`;
    if (chunk.lag_s !== null) gauges.lag.show(chunk.lag_s, `${chunk.lag_s.toFixed(2)} s`);
    this.#showHeld();
  }

  #showHeld() {
    const { gauges, texts } = this.#views;
    const newest = [...this.#history.units.values()].at(-1);
    if (!newest) return;
    const held = this.#history.held;
    const seconds = held ? held.seconds : newest.end_s;
    gauges.context.show(seconds, `${seconds.toFixed(0)} s`);
    texts.held.textContent = held ? `${held.tokens} tokens` : `stream at ${newest.end_s.toFixed(0)} s`;
  }
}

export function milliseconds(durationS) {
  return durationS < 1 ? `${(1000 * durationS).toFixed(0)} ms` : `${durationS.toFixed(2)} s`;
}
