// What is known of a session: its units, questions and matches. Pure: knows no page.

const MAX_UNITS = 450; // a quarter of an hour
const MAX_MARKS = 200;

/**
 * @typedef {{index: number, start_s: number, end_s: number, tokens: object, kept?: object,
 *   held?: object | null, gaps: object[], is_cut?: boolean, has_thumbnail?: boolean,
 *   lag_s?: number | null, stages_s?: object, picture?: string}} Unit
 */
export class History {
  /** @type {Map<number, Unit>} by index, oldest first */
  units = new Map();
  turns = new Map();
  matches = [];
  #newest = -1;

  /** Take a `chunk` event, or a unit of the timeline. @returns {{unit: Unit, isNew: boolean}} */
  addUnit(data) {
    const known = this.units.get(data.index);
    const unit = { ...known, ...data };
    const isLate = !known && data.index < this.#newest;
    this.#newest = Math.max(this.#newest, data.index);
    this.units.set(unit.index, unit);
    if (isLate) this.units = new Map([...this.units].sort(([a], [b]) => a - b));
    return { unit, isNew: !known };
  }

  /** Forget what is over the limit. @returns {Unit[]} the forgotten */
  trim() {
    const over = [...this.units.values()].slice(0, Math.max(0, this.units.size - MAX_UNITS));
    for (const { index } of over) this.units.delete(index);
    return over;
  }

  clear() {
    this.units.clear();
    this.turns.clear();
    this.matches = [];
    this.#newest = -1;
  }

  addTurn(turn) {
    this.turns.set(turn.id, turn);
    if (this.turns.size > MAX_MARKS) this.turns.delete(this.turns.keys().next().value);
  }

  addMatch(match) {
    this.matches.push(match);
    if (this.matches.length > MAX_MARKS) this.matches.shift();
  }

  /** Tokens in and kept of all known units. */
  get totals() {
    const totals = { video: { in: 0, kept: 0 }, audio: { in: 0, kept: 0 } };
    for (const { tokens } of this.units.values()) {
      for (const modality of ["video", "audio"]) {
        totals[modality].in += tokens[modality].in;
        totals[modality].kept += tokens[modality].kept;
      }
    }
    return totals;
  }

  /** Seconds and tokens in context; null where the service does not say what is held. */
  get held() {
    const units = [...this.units.values()];
    if (units.every((unit) => unit.held === undefined)) return null;
    const inContext = units.filter((unit) => unit.held !== null);
    return {
      seconds: inContext.reduce((sum, unit) => sum + unit.end_s - unit.start_s, 0),
      tokens: inContext.reduce((sum, unit) => sum + tokensHeld(unit), 0),
    };
  }

  /** Units that overlap a span of stream time. */
  within(startS, endS) {
    return [...this.units.values()].filter((unit) => unit.start_s < endS && unit.end_s > startS);
  }
}

// what has just come is held as it came, until the service says otherwise
function tokensHeld({ held, tokens }) {
  if (held === undefined) return tokens.video.kept + tokens.audio.kept;
  return held === null ? 0 : held.video_tokens + held.audio_tokens;
}

/** Share of a unit's tokens that are left, 0 to 1: now if that is known, else when it came. */
export function fidelity(unit) {
  const { video, audio } = unit.tokens;
  const kept = video.kept + audio.kept;
  return {
    kept: kept / Math.max(1, video.in + audio.in),
    memory: kept ? Math.min(1, tokensHeld(unit) / kept) : Number(unit.held !== null),
  };
}

/** Kept / total tokens in percent, null when there are none. */
export function keptPercent({ video, audio }) {
  const total = video.in + audio.in;
  return total ? (100 * (video.kept + audio.kept)) / total : null;
}

/**
 * Split text at the spans of stream time that it cites, such as "12-14 s" or "at 12.5 s".
 * @returns {{text: string, span: [number, number] | null}[]}
 */
export function citations(text) {
  const pattern = /(\d+(?:\.\d+)?)(?:\s*(?:-|–|to)\s*(\d+(?:\.\d+)?))?\s*s(?:econds?)?\b/g;
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) parts.push({ text: text.slice(end, match.index), span: null });
    const from = Number(match[1]);
    parts.push({ text: match[0], span: [from, match[2] ? Number(match[2]) : from + 0.01] });
    end = match.index + match[0].length;
  }
  if (end < text.length || !parts.length) parts.push({ text: text.slice(end), span: null });
  return parts;
}
