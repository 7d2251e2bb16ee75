"""Exit codes, and what to do about each error. Knows nothing about how commands run."""

from collections.abc import Callable
from dataclasses import dataclass

from clients.sdk.errors import (
    ApiError,
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    MalformedAnswer,
    MissingDependency,
    NotFound,
    OmniSiftError,
    SourceUnavailable,
    TimedOut,
    Unauthorized,
    Unavailable,
)

DONE = 0
FAILED = 1
REFUSED = 2
UNREACHABLE = 3
NOT_FOUND = 4
CONFLICT = 5
UNAVAILABLE = 6
UNAUTHORIZED = 7
NO_SOURCE = 8
UNHEALTHY = 9
DIFFERS = 10
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    DONE: "done",
    FAILED: "the service, or this program, failed",
    REFUSED: "wrong usage, or a request that the service refuses",
    UNREACHABLE: "the service cannot be reached, or did not answer in time",
    NOT_FOUND: "no such session",
    CONFLICT: "the session's state forbids it: ended, another publisher, no media yet",
    UNAVAILABLE: "the service is at its limit, or a part of it is away: try again",
    UNAUTHORIZED: "the API key or token is missing, wrong or over, or lacks the scope",
    NO_SOURCE: "the file, camera or microphone cannot be used",
    UNHEALTHY: "a check of `doctor` failed",
    DIFFERS: "a replay came out otherwise than its recording",
    INTERRUPTED: "interrupted (Ctrl-C)",
    TERMINATED: "terminated",
}

_START = "Start the service (make serve), or name another by --url or OMNISIFT_URL"
_UNAUTHORIZED = (
    "Give a valid key by OMNISIFT_API_KEY or --api-key; a token ends at its time: ask for a new one"
)
_CONFLICTS = {
    "session_ended": "Start another by 'omnisift publish'",
    "already_publishing": "Leave --session out to make a session of your own",
    "no_media_yet": "Publish to it by 'omnisift publish --session ID', or try again in a moment",
}


@dataclass(frozen=True, slots=True)
class Exit:
    """How an error ends the program.

    Attributes:
        hint: What to do about it, "" where the message says it all.
    """

    code: int
    hint: str = ""


def exit_for(error: OmniSiftError) -> Exit:
    """Find the exit of an error."""
    for kind, make in _EXITS:
        if isinstance(error, kind):
            return make(error)
    return Exit(FAILED)


def _unavailable(error: OmniSiftError) -> Exit:
    after_s = error.retry_after_s if isinstance(error, ApiError) else None
    return Exit(
        UNAVAILABLE, "Try again later" if after_s is None else f"Try again in {after_s:g} s"
    )


def _conflict(error: OmniSiftError) -> Exit:
    code = error.code if isinstance(error, ApiError) else ""
    if code == "recording_differs":
        return Exit(REFUSED, "Replay it nevertheless by --anyway")
    return Exit(CONFLICT, _CONFLICTS.get(code, ""))


def _always(code: int, hint: str = "") -> Callable[[OmniSiftError], Exit]:
    return lambda _error: Exit(code, hint)


_EXITS: tuple[tuple[type[OmniSiftError], Callable[[OmniSiftError], Exit]], ...] = (
    (BadRequest, _always(REFUSED)),
    (ConnectionFailed, _always(UNREACHABLE, _START)),
    (TimedOut, _always(UNREACHABLE, "Try again")),
    (NotFound, _always(NOT_FOUND, "See 'omnisift sessions' for those there are")),
    (Conflict, _conflict),
    (Unavailable, _unavailable),
    (Forbidden, _always(UNAUTHORIZED, "Give a key that has it, by OMNISIFT_API_KEY or --api-key")),
    (Unauthorized, _always(UNAUTHORIZED, _UNAUTHORIZED)),
    (SourceUnavailable, _always(NO_SOURCE)),
    (MissingDependency, _always(NO_SOURCE)),
    (MalformedAnswer, _always(FAILED, "Is that URL an OmniSIFT service of this version ?")),
)
