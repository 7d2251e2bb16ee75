// Watch rules: what the service looks out for by itself, and what it has found. Knows no media.

import { clock } from "./timeline.js";

const MAX_SHOWN = 30;

export class Rules {
  #page;
  #rules = new Map(); // condition by id
  #live = null;
  #onSpan;
  #onError;

  /**
   * @param {{form: HTMLFormElement, condition: HTMLInputElement, cooldown: HTMLInputElement,
   *   list: HTMLElement, matches: HTMLElement}} page
   * @param {{onSpan: (startS: number, endS: number) => void, onError: (error: Error) => void}} hooks
   */
  constructor(page, { onSpan, onError }) {
    this.#page = page;
    this.#onSpan = onSpan;
    this.#onError = onError;
    page.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(() => this.#add());
    });
  }

  /** Show the rules of a session. */
  async open(live) {
    this.#live = live;
    this.#rules.clear();
    this.#page.list.replaceChildren();
    this.#page.matches.replaceChildren();
    for (const rule of await live.rules.list()) this.#show(rule);
  }

  /** Note a match: a `rule.matched` event. @param {string} picture URL of a small one, or "" */
  match(event, unit, picture) {
    const item = document.createElement("li");
    if (picture) item.append(Object.assign(document.createElement("img"), { src: picture, alt: "" }));
    const startS = event.start_s ?? unit?.start_s ?? event.at_stream_s;
    const endS = event.end_s ?? unit?.end_s ?? startS;
    const text = event.condition ?? this.#rules.get(event.rule_id) ?? "a rule matched";
    item.append(Object.assign(document.createElement("span"), { textContent: text }));
    if (Number.isFinite(startS)) {
      item.append(button(`at ${clock(startS)}`, "link", () => this.#onSpan(startS, endS)));
    }
    this.#page.matches.prepend(item);
    while (this.#page.matches.children.length > MAX_SHOWN) this.#page.matches.lastChild.remove();
  }

  async #add() {
    const { condition, cooldown } = this.#page;
    if (this.#live === null) throw new Error("Start a stream first: rules belong to a session.");
    const rule = { condition: condition.value.trim(), cooldown_s: Number(cooldown.value) };
    this.#show(await this.#live.rules.add(rule));
    condition.value = "";
  }

  #show(rule) {
    const id = rule.id ?? rule.rule_id;
    if (this.#rules.has(id)) return;
    this.#rules.set(id, rule.condition);
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = rule.condition;
    const remove = button("Remove", "link", () =>
      this.#attempt(async () => {
        await this.#live.rules.remove(id);
        item.remove();
      }),
    );
    remove.setAttribute("aria-label", `Remove the rule: ${rule.condition}`);
    item.append(text, remove);
    this.#page.list.append(item);
  }

  async #attempt(action) {
    try {
      await action();
    } catch (error) {
      this.#onError(error);
    }
  }
}

function button(text, className, onClick) {
  const element = document.createElement("button");
  Object.assign(element, { type: "button", className, textContent: text });
  element.addEventListener("click", onClick);
  return element;
}
