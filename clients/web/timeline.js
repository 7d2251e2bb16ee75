// The session as a row of units, oldest first: what each shows, how much of it is left, what was
// asked and what matched. Knows nothing about where units come from.

import { drawTokens } from "./gauges.js";
import { fidelity } from "./history.js";

export class Timeline {
  #list;
  #detail;
  #items = new Map(); // by index of the unit
  #history;
  #followsEnd = true;
  #chosen = null;

  /**
   * @param {HTMLOListElement} list
   * @param {HTMLElement} detail where the unit that is pointed at is described
   * @param {import("./history.js").History} history
   */
  constructor(list, detail, history) {
    this.#list = list;
    this.#detail = detail;
    this.#history = history;
    list.addEventListener("scroll", () => {
      this.#followsEnd = list.scrollLeft + list.clientWidth > list.scrollWidth - 80;
    });
    list.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Draw a unit, again if it is known. */
  show(unit) {
    const item = this.#items.get(unit.index) ?? this.#add(unit);
    const { button, picture, video, audio } = item;
    const { kept, memory } = fidelity(unit);
    if (unit.picture && picture.src !== unit.picture) {
      picture.src = unit.picture;
      picture.hidden = false;
    }
    // CSS gets the numbers: the older, the paler
    button.style.setProperty("--memory", memory.toFixed(3));
    button.style.setProperty("--kept", kept.toFixed(3));
    button.dataset.memory = unit.held === null ? "forgotten" : memory < 0.99 ? "faded" : "whole";
    button.classList.toggle("cut", isCut(unit));
    button.classList.toggle("gap", unit.gaps.length > 0);
    video.style.setProperty("--share", share(unit.tokens.video));
    if (unit.kept && !audio.dataset.drawn) {
      drawTokens(audio, unit.kept.audio, Math.max(1, unit.tokens.audio.in));
      audio.dataset.drawn = "1";
    }
    button.setAttribute("aria-label", summary(unit));
    if (this.#chosen === unit.index) this.#describe(unit.index);
    if (this.#followsEnd) this.#list.scrollLeft = this.#list.scrollWidth;
  }

  /** Mark the unit in which something happened; `kind` is "question" or "match". */
  mark(timeS, kind, text) {
    const unit = this.#history.within(timeS - 0.01, timeS).at(-1);
    const marks = unit && this.#items.get(unit.index)?.marks;
    if (!marks) return;
    const mark = document.createElement("span");
    mark.className = kind;
    mark.title = text;
    marks.append(mark);
  }

  remove(units) {
    for (const { index } of units) {
      this.#items.get(index)?.item.remove();
      this.#items.delete(index);
    }
  }

  clear() {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#detail.replaceChildren();
    this.#chosen = null;
    this.#followsEnd = true;
  }

  /** Bring a span of stream time into view and mark it. */
  highlight(startS, endS) {
    const units = this.#history.within(startS, endS);
    for (const { item } of this.#items.values()) item.classList.remove("cited");
    for (const { index } of units) this.#items.get(index)?.item.classList.add("cited");
    const newest = units.at(-1);
    if (!newest) return;
    const { item, button } = this.#items.get(newest.index);
    this.#list.scrollLeft = item.offsetLeft - this.#list.clientWidth / 2;
    this.#choose(button, newest.index);
  }

  #add(unit) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unit";
    button.tabIndex = this.#items.size ? -1 : 0;
    button.dataset.index = unit.index;
    const picture = Object.assign(document.createElement("img"), { alt: "", hidden: true });
    const video = part("span", "video");
    const audio = part("canvas", "audio");
    const marks = part("span", "marks");
    const time = part("span", "time");
    time.textContent = clock(unit.start_s);
    button.append(picture, marks, video, audio, time);
    button.addEventListener("click", () => this.#choose(button, unit.index));
    button.addEventListener("focus", () => this.#choose(button, unit.index));
    button.addEventListener("pointerenter", () => this.#describe(unit.index));
    item.append(button);
    const after = [...this.#items].find(([index]) => index > unit.index)?.[1].item ?? null;
    this.#list.insertBefore(item, after);
    const parts = { item, button, picture, video, audio, marks };
    this.#items.set(unit.index, parts);
    if (after) this.#items = new Map([...this.#items].sort(([a], [b]) => a - b));
    return parts;
  }

  // one stop for Tab, arrows inside: a session has hundreds of units
  #move(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined) return;
    const buttons = [...this.#items.values()].map(({ button }) => button);
    const here = buttons.indexOf(document.activeElement);
    const goal = Math.min(buttons.length - 1, Math.max(0, here + step));
    event.preventDefault();
    buttons[goal]?.focus();
  }

  #choose(button, index) {
    for (const { button: other } of this.#items.values()) {
      other.tabIndex = -1;
      other.removeAttribute("aria-current");
    }
    button.tabIndex = 0;
    button.setAttribute("aria-current", "true");
    this.#chosen = index;
    this.#describe(index);
  }

  #describe(index) {
    const unit = this.#history.units.get(index);
    if (!unit) return;
    const lines = details(unit).map(([name, value]) => {
      const line = document.createElement("div");
      line.append(part("dt", "", name), part("dd", "", value));
      return line;
    });
    this.#detail.replaceChildren(...lines);
  }
}

function part(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function isCut(unit) {
  return Boolean(unit.is_cut || unit.cuts_s?.length);
}

function share({ in: total, kept }) {
  return (kept / Math.max(1, total)).toFixed(3);
}

/** Stream time as m:ss. */
export function clock(timeS) {
  return `${Math.floor(timeS / 60)}:${String(Math.floor(timeS % 60)).padStart(2, "0")}`;
}

function summary(unit) {
  const { video, audio } = unit.tokens;
  const extras = [isCut(unit) && "scene cut", unit.gaps.length && "gap"].filter(Boolean);
  return [
    `${unit.start_s.toFixed(0)} to ${unit.end_s.toFixed(0)} s`,
    `video ${video.kept} of ${video.in}, audio ${audio.kept} of ${audio.in} tokens kept`,
    ...extras,
    ...(unit.held === null ? ["forgotten"] : []),
  ].join(", ");
}

function details(unit) {
  const { video, audio } = unit.tokens;
  const rows = [
    ["Time", `${unit.start_s.toFixed(1)}-${unit.end_s.toFixed(1)} s`],
    ["Video", `${video.in} → ${video.kept} tokens`],
    ["Audio", `${audio.in} → ${audio.kept} tokens`],
  ];
  if (unit.held === null) rows.push(["Still held", "forgotten"]);
  else if (unit.held) {
    rows.push(["Still held", `${unit.held.video_tokens} video, ${unit.held.audio_tokens} audio`]);
  }
  if (Number.isFinite(unit.lag_s)) rows.push(["Lag", `${unit.lag_s.toFixed(2)} s`]);
  for (const [stage, durationS] of Object.entries(unit.stages_s ?? {})) {
    rows.push([stage, `${(1000 * durationS).toFixed(0)} ms`]);
  }
  for (const gap of unit.gaps) {
    rows.push([`No ${gap.modality}`, `${gap.duration_s.toFixed(1)} s from ${gap.start_s.toFixed(1)} s`]);
  }
  if (isCut(unit)) rows.push(["Picture", "scene cut"]);
  for (const onsetS of unit.onsets_s ?? []) rows.push(["Sound from", `${onsetS.toFixed(1)} s`]);
  return rows;
}
