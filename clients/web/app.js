// The page: what happens when, and what is shown. Everything else is in the other modules.

import { Api, ApiError, backoffMs, ConnectionLost, sleep } from "./api.js";
import { keptPercent, Turn } from "./chat.js";
import { DeviceError, listDevices, openDevices, whyNoDevices } from "./devices.js";
import { Overlay } from "./overlay.js";
import { startScene } from "./scene.js";
import { Publication } from "./whip.js";

const MAX_ATTEMPTS = 12; // about a minute of trying to connect again
const STATES = {
  idle: "not started",
  starting: "starting",
  connecting: "connecting",
  live: "live",
  reconnecting: "reconnecting",
  stopped: "stopped",
};

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((el) => [el.id, el]));
const api = new Api(new URL(".", document.baseURI).href, () => page["api-key"].value.trim());
const overlay = new Overlay(page.overlay, page.preview);
let run = null;

/** From Start to Stop: one source, one session, as many connections as it takes. */
class Run {
  #abort = new AbortController();
  #media = null;
  #publication = null;
  #followed = null;
  #totals = { video: { in: 0, kept: 0 }, audio: { in: 0, kept: 0 } };
  #lastChunk = -1;
  sessionId = "";

  async start() {
    setState("starting");
    this.#media = await openSource();
    if (this.isOver) {
      this.#media.stop();
      return;
    }
    page.preview.srcObject = this.#media.stream;
    const [picture] = this.#media.stream.getVideoTracks();
    picture.addEventListener("ended", () => stop("The camera was disconnected."));
    const session = await api.createSession(page.profile.value);
    this.sessionId = session.id;
    if (this.isOver) {
      await this.#discard();
      return;
    }
    showSession(session.id);
    this.#followed = this.#follow();
    setState("connecting");
    await this.#publish();
  }

  get isOver() {
    return this.#abort.signal.aborted;
  }

  /** Free everything; safe at any time and more than once. */
  async end() {
    this.#abort.abort();
    this.#media?.stop();
    page.preview.srcObject = null;
    overlay.clear();
    await this.#publication?.stop();
    if (this.sessionId && this.#lastChunk < 0) await this.#discard();
    await this.#followed;
  }

  // a session without any media has nothing to be asked about
  async #discard() {
    await api.endSession(this.sessionId).catch(() => {});
  }

  async #publish() {
    this.#publication = new Publication(api, () => this.#reconnect());
    await this.#publication.start(this.sessionId, this.#media.stream);
    if (this.isOver) await this.#publication.stop();
    else setState("live");
  }

  async #reconnect() {
    setState("reconnecting");
    say("The connection was lost. Connecting again.");
    for (let attempt = 1; !this.isOver; attempt += 1) {
      try {
        await this.#publication.stop();
        await sleep(backoffMs(attempt), this.#abort.signal);
        await this.#publish();
        say("Connected again.");
        return;
      } catch (error) {
        if (this.isOver) return;
        if (attempt >= MAX_ATTEMPTS || !isPassing(error)) {
          await stop(explain(error));
          return;
        }
      }
    }
  }

  async #follow() {
    try {
      const onLost = () => say("The service is not answering. Trying again.");
      for await (const event of api.events(this.sessionId, this.#abort.signal, onLost)) {
        if (event.type === "chunk") this.#take(event);
        if (event.type === "session.ended") await this.#sessionEnded(event.reason);
      }
    } catch (error) {
      if (!this.isOver) complain(explain(error));
    }
  }

  #take(chunk) {
    if (chunk.index <= this.#lastChunk) return;
    this.#lastChunk = chunk.index;
    for (const modality of ["video", "audio"]) {
      this.#totals[modality].in += chunk.tokens[modality].in;
      this.#totals[modality].kept += chunk.tokens[modality].kept;
    }
    if (page.state.dataset.state === "live") say("");
    page.ask.disabled = false;
    showNumbers(this.#totals, chunk);
    if (page["show-kept"].checked) overlay.show(chunk.kept.video, chunk.grid_sizes);
  }

  async #sessionEnded(reason) {
    page.ask.disabled = true;
    // not awaited: `end` waits for the loop that this is called from
    stop(`The session has ended (${reason ?? "no reason given"}). Press Start for a new one.`);
  }
}

async function start() {
  complain("");
  say("");
  run = new Run();
  const current = run;
  try {
    await current.start();
    if (!current.isOver) say("Streaming. The first answer is possible in a few seconds.");
    await listDevices(page.camera, page.microphone);
  } catch (error) {
    if (!current.isOver) await stop(explain(error));
  }
}

/** End the run; `why` when it was not the Stop button. */
async function stop(why = "") {
  const ended = run;
  run = null;
  setState("stopped");
  complain(why);
  say(!why && !page.ask.disabled ? "Stopped. What was streamed can still be asked about." : "");
  await ended?.end();
}

async function ask(question) {
  const turn = new Turn(page["chat-log"], question);
  try {
    for await (const item of api.ask(page["session-id"].textContent, question)) {
      if (item.type === "token") turn.write(item.text);
      else if (item.type === "answer") turn.finish(item);
    }
  } catch (error) {
    turn.fail(explain(error));
  }
}

async function openSource() {
  if (page.source.value === "scene") return startScene();
  return openDevices(page.camera.value, page.microphone.value);
}

function isPassing(error) {
  if (error instanceof ApiError) return error.retryable || error.code === "already_publishing";
  return !(error instanceof DeviceError);
}

/** What went wrong and what to do, in words for a person. */
function explain(error) {
  if (error instanceof ApiError) {
    if (error.status !== 401 && error.status !== 403) return `${error.message}.`;
    page.access.open = true;
    return "The service asks for an API key. Enter it under API key, then try again.";
  }
  if (error instanceof ConnectionLost) {
    return `${error.message} Check that it is running, then try again.`;
  }
  return error.message;
}

function setState(state) {
  const isRunning = state !== "idle" && state !== "stopped";
  page.state.dataset.state = state;
  page.state.textContent = STATES[state];
  page.start.disabled = isRunning;
  page.stop.disabled = !isRunning;
  page.placeholder.hidden = isRunning;
  for (const picker of ["source", "camera", "microphone", "profile"]) {
    page[picker].disabled = isRunning;
  }
}

function showSession(sessionId) {
  page["session-id"].textContent = sessionId;
  page.ask.disabled = true;
  for (const id of ["saved", "video-tokens", "audio-tokens", "lag", "context"]) {
    page[id].textContent = "-";
  }
}

function showNumbers(totals, chunk) {
  const { video, audio } = totals;
  page.saved.textContent = `${(100 - (keptPercent(totals) ?? 100)).toFixed(0)} %`;
  page["video-tokens"].textContent = `${video.in} → ${video.kept}`;
  page["audio-tokens"].textContent = `${audio.in} → ${audio.kept}`;
  page.lag.textContent = chunk.lag_s === null ? "-" : `${chunk.lag_s.toFixed(1)} s`;
  page.context.textContent = `${chunk.end_s.toFixed(0)} s`;
}

function say(text) {
  page.message.textContent = text;
}

function complain(text) {
  page.alert.textContent = text;
  page.alert.hidden = !text;
}

function showPickers() {
  const isDevices = page.source.value === "devices";
  for (const label of document.querySelectorAll(".device")) label.hidden = !isDevices;
  complain(isDevices ? whyNoDevices() : "");
  if (isDevices) listDevices(page.camera, page.microphone);
}

page.controls.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
page.stop.addEventListener("click", () => stop());
page.source.addEventListener("change", showPickers);
page["show-kept"].addEventListener("change", () => overlay.clear());
page["ask-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  const question = page.question.value.trim();
  if (!question || page.ask.disabled) return;
  page.question.value = "";
  ask(question);
});
window.addEventListener("pagehide", () => run?.end());
page["api-key"].value = sessionStorage.getItem("omnisift-api-key") ?? "";
page["api-key"].addEventListener("change", () =>
  sessionStorage.setItem("omnisift-api-key", page["api-key"].value.trim()),
);
navigator.mediaDevices?.addEventListener("devicechange", () =>
  listDevices(page.camera, page.microphone),
);
showPickers();
setState("idle");
