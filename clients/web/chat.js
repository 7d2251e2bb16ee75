// The list of questions and answers. Knows nothing about sessions or media.

/** One question in the list, and its answer as it comes. */
export class Turn {
  #answer;
  #meta;
  #log;
  #item;
  #askedMs = performance.now();
  #firstMs = null;

  /**
   * @param {HTMLElement} log list that the turn is added to
   * @param {string} question
   */
  constructor(log, question) {
    this.#log = log;
    this.#item = document.createElement("li");
    this.#item.className = "turn";
    this.#item.setAttribute("aria-busy", "true");
    this.#add("question", question);
    this.#answer = this.#add("answer", "");
    this.#meta = this.#add("meta", "");
    log.append(this.#item);
    this.#scroll();
  }

  /** Add text of the answer. */
  write(text) {
    this.#firstMs ??= performance.now() - this.#askedMs;
    this.#answer.textContent += text;
    this.#scroll();
  }

  /** Note the whole answer and what it cost. */
  finish(answer) {
    this.#firstMs ??= performance.now() - this.#askedMs;
    this.#answer.textContent = answer.answer || "(no words)";
    const kept = keptPercent(answer.usage.stream);
    this.#close(
      `first word after ${(this.#firstMs / 1000).toFixed(2)} s` +
        ` · saw ${answer.context_start_s.toFixed(0)}-${answer.context_end_s.toFixed(0)} s` +
        (kept === null ? "" : ` · from ${kept.toFixed(0)} % of the stream's tokens`),
    );
  }

  /** Note that there will be no answer, and why. */
  fail(message) {
    if (!this.#answer.textContent) this.#answer.remove();
    this.#item.classList.add("failed");
    this.#close(message);
  }

  #close(text) {
    this.#meta.textContent = text;
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

  #scroll() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

/** Kept / total tokens in percent, null when there are none. */
export function keptPercent({ video, audio }) {
  const total = video.in + audio.in;
  return total ? (100 * (video.kept + audio.kept)) / total : null;
}
