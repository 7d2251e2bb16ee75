// What went wrong and what to do about it, in words for a person. Pure: knows no page.

import { ApiError, ConnectionLost } from "./api.js";

/** Something on this side of the wire that a person can mend; its message says how. */
export class SourceError extends Error {}

export const SILENT =
  "No sound is heard. Check that the microphone is not muted, here and in the system, or pick another one under Microphone.";

export const OVERSIZED =
  "The pictures are larger than what is taken and are left out. Send 3840 by 2160 pixels or less.";

const BY_CODE = {
  session_not_found:
    "This session does not exist here: it ended more than an hour ago, or belongs to another key. Check the link, or press Start for a new one.",
  session_ended: "This session has ended. Press Start for a new one.",
  already_publishing:
    "Somebody else is streaming into this session. Stop there first, or press Start again for a session of your own.",
  no_media_yet: "Nothing has been seen yet. Ask again in a few seconds.",
  answer_interrupted: "The answer was cut: the part that gave it has died. Ask again.",
  rate_limited: "This key has reached its limit.",
  at_capacity: "The service is full.",
};
const UNKNOWN_KEY =
  "The service asks for an API key. Enter a valid one under API key, then try again.";
const OLD_LINK =
  "This link is not valid any more. Ask the person who shared it for a new one, or enter an API key.";

/**
 * @param {Error} error
 * @param {{hasLink?: boolean, isForeign?: boolean}} where `hasLink`: a shared link's token was used;
 *   `isForeign`: the service has another origin than the page
 */
export function explain(error, where = {}) {
  const text = reasonFor(error, where);
  const isSoon = error instanceof ApiError && error.retryAfterS !== null && error.status !== 409;
  return isSoon ? `${text} Try again in ${Math.ceil(error.retryAfterS)} s.` : text;
}

/** The same without when to try again: for where that is counted down. */
export function reasonFor(error, { hasLink = false, isForeign = false } = {}) {
  if (error instanceof ConnectionLost) return explainLoss(error, isForeign);
  if (!(error instanceof ApiError)) return error.message;
  if (error.status === 401) return hasLink ? OLD_LINK : UNKNOWN_KEY;
  if (error.status === 403) {
    return hasLink
      ? "This link lets you watch and ask, not do that."
      : "This API key may not do that. Enter another one under API key.";
  }
  return BY_CODE[error.code] ?? sentence(error.message);
}

/** Whether trying the same again may help. */
export function isPassing(error) {
  if (error instanceof ApiError) return error.isOutage || error.code === "already_publishing";
  return !(error instanceof SourceError);
}

function explainLoss(error, isForeign) {
  if (!navigator.onLine) return "This device is offline. Connect it, then try again.";
  const advice = isForeign
    ? `Check that it is running and that OMNISIFT_API__CORS_ORIGINS there names ${location.origin}.`
    : "Check that it is running, then try again.";
  return `${error.message} ${advice}`;
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
