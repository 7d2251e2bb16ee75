// The page: what happens when. What is shown is in the other modules.

import { ApiError, Api, sleep } from "./api.js";
import { Conversation } from "./conversation.js";
import { listDevices, openDevices, openScreen, whyNoDevices } from "./devices.js";
import { confineTo, readEntry, viewerLink } from "./entry.js";
import { Film } from "./film.js";
import { followSound } from "./hearing.js";
import { connect } from "./omnisift.js";
import { startScene } from "./scene.js";
import { page, Screen } from "./screen.js";
import { Watch } from "./watch.js";
import { explain, OVERSIZED, reasonFor, SILENT } from "./words.js";

const entry = readEntry();
confineTo(entry.base);
const isViewer = entry.sessionId !== "";
const film = new Film(page.preview);
const where = () => ({ hasLink: isViewer && entry.key.isToken, isForeign: entry.isForeign });
const conversation = new Conversation(page, (error) => explain(error, where()));
const screen = new Screen(isViewer ? null : film, conversation, complainOf);
const key = () => entry.key.get();
let run = null;

/** From Start to the next Start: one session, followed, and sent to until Stop. */
class Run {
  #abort = new AbortController();
  #media = null;
  #watch = null;
  #isSilent = false;
  live = null;

  /** Send a source into a new session. */
  async publish(source, profile) {
    screen.setState("starting");
    this.#media = await openSource(source);
    if (this.isOver) return this.#media.stop();
    page.preview.srcObject = this.#media.stream;
    film.start();
    if (source === "devices") {
      followSound(this.#media.stream, this.#abort.signal, (isSilent) => {
        this.#isSilent = isSilent;
        screen.say(isSilent ? SILENT : "");
      });
    }
    const [picture] = this.#media.stream.getVideoTracks();
    picture.addEventListener("ended", () => stop(endOf(source)));
    await this.#patiently(async () => {
      this.live ??= await connect({ url: entry.base, key, profile });
    });
    if (this.isOver) return this.#discard();
    conversation.open(this.live, source === "scene");
    this.follow(film);
    await this.#patiently(() => this.live.publish(this.#media.stream, (...now) => this.#tell(...now)));
  }

  /** Join a session that somebody else sends to. */
  async view(sessionId) {
    screen.setState("joining");
    await this.#patiently(async () => {
      this.live = await connect({ url: entry.base, key, sessionId });
    });
    conversation.open(this.live, false);
    this.follow(null);
    screen.setState("watching");
    if (this.live.record.status === "ended") return stop(reasonOf(this.live.record.end_reason));
    if (!this.live.record.chunks) screen.say("Nothing has been streamed into this session yet.");
  }

  follow(from) {
    screen.open(this.live);
    this.#watch = new Watch(this.live, screen.views, from, {
      onEvent: (event) => this.#hear(event),
      onLost: () => screen.say("The service is not answering. Trying again."),
      onError: complainOf,
    });
    this.#watch.run();
  }

  get isOver() {
    return this.#abort.signal.aborted;
  }

  /** Stop sending; what was sent can still be asked about. Safe more than once. */
  async end() {
    this.#abort.abort();
    this.#media?.stop();
    film.stop();
    page.preview.srcObject = null;
    screen.views.overlay.clear();
    await this.live?.unpublish();
    if (this.live && !isViewer && !this.#watch?.hasMedia) await this.#discard();
  }

  /** Let go of the session altogether. */
  leave() {
    this.#watch?.leave();
    return this.live?.close();
  }

  // a session without any media has nothing to be asked about
  async #discard() {
    this.leave();
    await this.live?.end().catch(() => {});
  }

  // a service that is full says when to come back
  async #patiently(action) {
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (this.isOver) return undefined;
        if (!(error instanceof ApiError) || error.retryAfterS === null || !error.retryable) throw error;
        screen.setState("waiting");
        await screen.countDown(reasonFor(error, where()), error.retryAfterS, this.#abort.signal);
      }
    }
  }

  #tell(state, { error, waitMs }) {
    if (this.isOver) return;
    if (state === "failed") return stop(explain(error, where()));
    screen.setState(state);
    if (state === "reconnecting") screen.sayReconnecting(error && explain(error, where()), waitMs);
    else if (state === "live") screen.say("Streaming. The first answer is possible in a few seconds.");
  }

  #hear(event) {
    if (event.type === "chunk") {
      conversation.allow(event.end_s);
      if (page.state.dataset.state === "live") screen.say(this.#isSilent ? SILENT : "");
    } else if (event.type === "dropped" && event.reason === "oversized") {
      screen.complain(OVERSIZED);
    } else if (event.type === "session.moving") {
      screen.say("The service moves this session to another replica. It goes on by itself.");
    } else if (event.type === "session.idle" && isViewer) {
      screen.say("Nobody is streaming into this session now. What was seen can still be asked about.");
    } else if (event.type === "session.live" && isViewer) screen.say("");
    else if (event.type === "session.ended") stop(reasonOf(event.reason));
  }
}

async function begin(action) {
  screen.complain("");
  screen.say("");
  await run?.leave();
  run = new Run();
  const current = run;
  try {
    await action(current);
  } catch (error) {
    if (!current.isOver) await fail(error);
  }
  await listDevices(page.camera, page.microphone);
}

const start = () => begin((next) => next.publish(page.source.value, page.profile.value));
const view = () => begin((next) => next.view(entry.sessionId));

async function fail(error) {
  await stop(explain(error, where()));
  if (error instanceof ApiError && error.status === 401) page["key-dialog"].showModal();
}

/** Stop sending; `why` when it was not the Stop button. */
async function stop(why = "") {
  screen.setState("stopped");
  screen.complain(why);
  const canAsk = !page.ask.disabled && !why;
  screen.say(canAsk ? "Stopped. What was streamed can still be asked about." : "");
  if (why.includes("ended")) conversation.close();
  await run?.end();
}

function complainOf(error) {
  screen.complain(explain(error, where()));
  if (error instanceof ApiError && error.status === 401) page["key-dialog"].showModal();
}

function openSource(source) {
  if (source === "scene") return startScene();
  if (source === "screen") return openScreen();
  return openDevices(page.camera.value, page.microphone.value);
}

function endOf(source) {
  return source === "screen"
    ? "The screen is not shared any more. Press Start to share again."
    : "The camera was disconnected. Connect it, then press Start.";
}

function reasonOf(reason) {
  const words = { deleted: "somebody ended it", idle: "nobody streamed into it for five minutes" };
  const next = isViewer ? "Ask for a new link." : "Press Start for a new one.";
  return `The session has ended (${words[reason] ?? reason ?? "no reason given"}). ${next}`;
}

async function share() {
  try {
    const token = await run.live.token();
    page["share-link"].value = viewerLink(entry.base, entry.isForeign, run.live.id, token);
    page["share-dialog"].showModal();
    page["share-link"].select();
  } catch (error) {
    complainOf(error);
  }
}

async function copyLink() {
  page["share-link"].select();
  await navigator.clipboard?.writeText(page["share-link"].value);
  page["copy-link"].textContent = "Copied";
  await sleep(2000);
  page["copy-link"].textContent = "Copy";
}

function showPickers() {
  const isDevices = page.source.value === "devices";
  for (const label of document.querySelectorAll(".device")) label.hidden = !isDevices;
  screen.complain(isDevices ? whyNoDevices() : "");
  if (isDevices) listDevices(page.camera, page.microphone);
}

page.controls.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
page.stop.addEventListener("click", () => stop());
page.share.addEventListener("click", share);
page["copy-link"].addEventListener("click", copyLink);
page.source.addEventListener("change", showPickers);
page["open-key"].addEventListener("click", () => page["key-dialog"].showModal());
page["key-form"].addEventListener("submit", () => {
  entry.key.set(page["api-key"].value.trim());
  if (isViewer) view();
  else screen.complain("");
});
window.addEventListener("pagehide", () => run?.end());
navigator.mediaDevices?.addEventListener("devicechange", () =>
  listDevices(page.camera, page.microphone),
);
page["api-key"].value = entry.key.isToken ? "" : key();
document.body.classList.toggle("viewer", isViewer);
page.service.textContent = entry.isForeign ? new URL(entry.base).host : "";
screen.setState("idle");
screen.offerRules(new Api(entry.base, key));
if (isViewer) view();
else showPickers();
