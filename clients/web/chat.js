// The list of questions and answers. Knows nothing about sessions or media.

import { citations, keptPercent } from "./history.js";

/** One question in the list, and its answer as it comes. */
export class Turn {
  #answer;
  #meta;
  #log;
  #item;
  #cancel;
  #onSpan;
  #askedMs = performance.now();
  #firstMs = null;

  /**
   * @param {HTMLElement} log list that the turn is added to
   * @param {string} question
   * @param {{onCancel?: () => void, onSpan: (startS: number, endS: number) => void}} hooks `onSpan`:
   *   somebody wants to see that span of stream time
   */
  constructor(log, question, { onCancel, onSpan }) {
    this.#log = log;
    this.#onSpan = onSpan;
    this.#item = document.createElement("li");
    this.#item.className = "turn";
    this.#item.setAttribute("aria-busy", "true");
    this.#add("question", question);
    this.#answer = this.#add("answer", "");
    this.#meta = this.#add("meta", "");
    if (onCancel) this.#cancel = this.#addButton(this.#meta, "Cancel", onCancel);
    log.append(this.#item);
    this.#scroll();
  }

  /** Add text of the answer. */
  write(text) {
    this.#firstMs ??= performance.now() - this.#askedMs;
    this.#answer.textContent += text;
    this.#scroll();
  }

  /**
   * Note the whole answer and what it cost.
   * @param {object} answer as the API gives it
   * @param {string} [truth] the right answer, where the page knows it
   */
  finish(answer, truth) {
    this.#say(answer.answer || "(no words)");
    if (truth) this.#judge(answer.answer, truth);
    const kept = answer.usage ? keptPercent(answer.usage.stream) : null;
    const here = this.#firstMs === null ? "" : ` (${seconds(this.#firstMs / 1000)} here)`;
    this.#close([
      Number.isFinite(answer.ttft_s) && `TTFT ${seconds(answer.ttft_s)}${here}`,
      answer.usage && plural(answer.usage.completion_tokens, "token"),
      kept !== null && `from ${kept.toFixed(0)} % of its tokens`,
    ]);
    const all = { start_s: answer.context_start_s ?? 0, end_s: answer.context_end_s };
    const seen = answer.spans?.length ? answer.spans : [all];
    for (const { start_s: from, end_s: to } of seen) {
      this.#meta.append(" · ");
      const text = `saw ${from.toFixed(0)}-${to.toFixed(0)} s`;
      this.#addButton(this.#meta, text, () => this.#onSpan(from, to));
    }
    this.#scroll();
  }

  /** Note that there will be no answer, and why. */
  fail(message) {
    if (!this.#answer.textContent) this.#answer.remove();
    this.#item.classList.add("failed");
    this.#close([message]);
  }

  #say(text) {
    const parts = citations(text).map(({ text: words, span }) => {
      if (!span) return document.createTextNode(words);
      return this.#button(words, () => this.#onSpan(...span));
    });
    this.#answer.replaceChildren(...parts);
  }

  #judge(answer, truth) {
    const isRight = answer.trim().toLowerCase().replace(/[.!]$/, "") === truth;
    const verdict = document.createElement("span");
    verdict.className = isRight ? "right" : "wrong";
    verdict.textContent = isRight ? "✓ right" : `✗ it was: ${truth}`;
    this.#answer.append(" ", verdict);
  }

  #close(parts) {
    this.#cancel?.remove();
    this.#meta.textContent = parts.filter(Boolean).join(" · ");
    this.#item.removeAttribute("aria-busy");
    this.#scroll();
  }

  #add(name, text) {
    const line = document.createElement("p");
    line.className = name;
    line.textContent = text;
    this.#item.append(line);
    return line;
  }

  #addButton(place, text, onClick) {
    const button = this.#button(text, onClick);
    place.append(button);
    return button;
  }

  #button(text, onClick) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "link", textContent: text });
    button.addEventListener("click", onClick);
    return button;
  }

  #scroll() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

function seconds(durationS) {
  return durationS < 1 ? `${(1000 * durationS).toFixed(0)} ms` : `${durationS.toFixed(2)} s`;
}

function plural(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
