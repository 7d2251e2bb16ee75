// Asking: the form, the suggestions, the questions under way. Knows no media.

import { Turn } from "./chat.js";
import { QUESTIONS } from "./scene.js";

const OPEN_QUESTIONS = [
  { fromS: 0, text: "What color appeared last?" },
  { fromS: 0, text: "What shape appeared last?" },
  { fromS: 0, text: "What sound came last?" },
];
const MAX_SUGGESTIONS = 3;

export class Conversation {
  #page;
  #explain;
  #live = null;
  #isScene = false;
  #pending = new Set(); // questions under way
  #own = new Set(); // ids of answers shown already
  #cut = new Set(); // questions of one's own that were cancelled or failed: told of later
  #suggested = new Set();
  onSpan = () => {};

  /** @param {object} page @param {(error: Error) => string} explain */
  constructor(page, explain) {
    this.#page = page;
    this.#explain = explain;
    page["ask-form"].addEventListener("submit", (event) => {
      event.preventDefault();
      const question = page.question.value.trim();
      if (!question || page.ask.disabled) return;
      page.question.value = "";
      this.#ask(question);
    });
  }

  /** Talk about a session; `isScene`: it is of the sample scene, about which answers are known. */
  open(live, isScene) {
    if (live.id !== this.#live?.id) this.#page["chat-log"].replaceChildren();
    this.#live = live;
    this.#isScene = isScene;
    this.#own.clear();
    this.#cut.clear();
    this.#suggested.clear();
    this.#page.ask.disabled = true;
    this.#page.suggestions.replaceChildren();
  }

  /** The session has been seen up to `timeS`: it can be asked. */
  allow(timeS) {
    this.#page.ask.disabled = false;
    for (const known of this.#isScene ? QUESTIONS : OPEN_QUESTIONS) {
      const isFull = this.#page.suggestions.children.length >= MAX_SUGGESTIONS;
      if (isFull || known.fromS > timeS || this.#suggested.has(known.text)) continue;
      this.#suggest(known.text);
    }
  }

  // each once: what was asked makes room for the next
  #suggest(text) {
    this.#suggested.add(text);
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: "chip", textContent: text });
    chip.addEventListener("click", () => {
      chip.remove();
      this.#page.question.focus();
      this.#ask(text);
    });
    this.#page.suggestions.append(chip);
  }

  close() {
    this.#page.ask.disabled = true;
    this.#page.suggestions.replaceChildren();
  }

  /** Show what somebody else asked; one's own questions are shown already. */
  addOther(turn) {
    if (this.#own.has(turn.id) || this.#pending.has(turn.question)) return;
    this.#own.add(turn.id);
    if (this.#cut.delete(turn.question)) return;
    const shown = new Turn(this.#page["chat-log"], turn.question, { onSpan: this.onSpan });
    shown.finish(turn);
  }

  async #ask(question) {
    const abort = new AbortController();
    const turn = new Turn(this.#page["chat-log"], question, {
      onCancel: () => abort.abort(),
      onSpan: (...span) => this.onSpan(...span),
    });
    this.#pending.add(question);
    try {
      for await (const item of this.#live.ask(question, { signal: abort.signal })) {
        if (item.type === "token") turn.write(item.text);
        else if (item.type === "answer") {
          this.#own.add(item.id);
          turn.finish(item, this.#truth(question));
        }
      }
    } catch (error) {
      this.#cut.add(question);
      turn.fail(abort.signal.aborted ? "cancelled" : this.#explain(error));
    } finally {
      this.#pending.delete(question);
    }
  }

  #truth(question) {
    if (!this.#isScene) return undefined;
    return QUESTIONS.find(({ text }) => text.toLowerCase() === question.toLowerCase())?.answer;
  }
}
