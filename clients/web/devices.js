// The browser's cameras, microphones and screens, and what to say when they cannot be had.

import { SourceError } from "./words.js";

const REASONS = {
  NotAllowedError:
    "The browser does not allow the camera or the microphone here. Allow them for this site (the icon beside the address), then press Start again. The sample scene needs no permission.",
  NotFoundError:
    "No such camera or microphone was found. Connect one, pick None for the microphone, or use the sample scene.",
  NotReadableError:
    "The camera or the microphone is in use by another program. Close that program, then press Start again.",
  AbortError: "The camera or the microphone stopped while it was opened. Connect it again, then press Start.",
  OverconstrainedError: "That camera or microphone is gone. Pick another one.",
};

/** Say why devices cannot be used at all, or "" when they can. */
export function whyNoDevices() {
  if (navigator.mediaDevices?.getUserMedia) return "";
  return "Browsers give out cameras only to pages from https or localhost. Open this page by https, or use the sample scene.";
}

/**
 * Open a camera and a microphone.
 * @param {string} camera device id, "" for the default one
 * @param {string} microphone likewise, "none" for none
 * @returns {Promise<{stream: MediaStream, stop: () => void}>} rejects with SourceError
 */
export async function openDevices(camera, microphone) {
  const why = whyNoDevices();
  if (why) throw new SourceError(why);
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 15 } };
  if (camera) video.deviceId = { exact: camera };
  const audio = microphone === "none" ? false : microphone ? { deviceId: { exact: microphone } } : true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio });
    return { stream, stop: () => stream.getTracks().forEach((track) => track.stop()) };
  } catch (error) {
    throw new SourceError(REASONS[error.name] ?? `The camera cannot be opened: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * Share a screen, a window or a tab, with its sound where the browser gives it.
 * @returns {Promise<{stream: MediaStream, stop: () => void}>} rejects with SourceError
 */
export async function openScreen() {
  if (!navigator.mediaDevices?.getDisplayMedia) {
    throw new SourceError(
      "This browser cannot share the screen, or this page is not from https or localhost. Use the camera or the sample scene.",
    );
  }
  try {
    const video = { width: { max: 1280 }, frameRate: { max: 15 } };
    const stream = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
    return { stream, stop: () => stream.getTracks().forEach((track) => track.stop()) };
  } catch (error) {
    const text =
      error.name === "NotAllowedError"
        ? "No screen was shared. Press Start again and pick a screen, a window or a tab."
        : `The screen cannot be shared: ${error.message}`;
    throw new SourceError(text, { cause: error });
  }
}

/** Fill the pickers; names are known only once a permission was given. */
export async function listDevices(cameraPicker, microphonePicker) {
  if (whyNoDevices()) return;
  const devices = await navigator.mediaDevices.enumerateDevices();
  fill(cameraPicker, devices.filter((device) => device.kind === "videoinput"));
  fill(microphonePicker, devices.filter((device) => device.kind === "audioinput"));
}

function fill(picker, devices) {
  const chosen = picker.value;
  for (const option of [...picker.options]) if (option.dataset.device) option.remove();
  for (const { deviceId, label } of devices) {
    if (!deviceId || deviceId === "default") continue;
    const option = new Option(label || `${picker.id} ${picker.options.length}`, deviceId);
    option.dataset.device = "1";
    picker.add(option);
  }
  if ([...picker.options].some((option) => option.value === chosen)) picker.value = chosen;
}
