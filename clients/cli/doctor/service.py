"""Checks of the service from here: does it answer, whom does it let in. Changes nothing there."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from clients.cli.doctor.finding import Finding
from clients.sdk import Client, Forbidden, NotFound, OmniSiftError, Unauthorized
from clients.sdk.calls import Call, Reply

# tokens and TURN credentials are bound to the clock
SKEW_LIMIT_S = 30.0
NOBODY = "doctor-asks-for-nobody"
# requests that do nothing: whoever has the scope is told that there is no such session
_PROBES = {
    "publish": ("DELETE", f"v1/sessions/{NOBODY}"),
    "ask": ("GET", f"v1/sessions/{NOBODY}/turns"),
    "metrics": ("GET", "metrics"),
}


def check_service(
    client: Client, *, has_key: bool, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Finding]:
    """Whether it answers, is ready, agrees about the time, knows the key, and which model it runs.

    Args:
        client: Of the service.
        has_key: The client has a key or token.
        now: This machine's clock.
    """
    began_s = time.monotonic()
    try:
        health = client.send(Call("GET", "healthz", lambda reply: reply))
    except OmniSiftError as exc:
        yield Finding(
            "fail",
            "service",
            str(exc),
            "start it (make serve), or name another by --url or OMNISIFT_URL",
        )
        return
    took_ms = 1000 * (time.monotonic() - began_s)
    yield Finding("ok", "service", f"{client.base_url} answers, in {took_ms:.0f} ms")
    yield _ready(client)
    yield skew(health, now())
    yield from _access(client, has_key=has_key)


def skew(reply: Reply, now: datetime) -> Finding:
    """Compare clocks by the answer's Date, which is in whole seconds."""
    try:
        there = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return Finding("warn", "clock", "the answer has no date to compare this clock with")
    off_s = (now - there).total_seconds()
    if abs(off_s) <= SKEW_LIMIT_S:
        return Finding("ok", "clock", f"within {max(1.0, abs(off_s)):.0f} s of the service's")
    way = "ahead of" if off_s > 0 else "behind"
    return Finding(
        "warn",
        "clock",
        f"{abs(off_s):.0f} s {way} the service's: tokens seem to end early or late",
        "set this machine's clock (timedatectl set-ntp true)",
    )


def scopes_of(client: Client) -> tuple[str, ...]:
    """Which scopes the client's key has.

    Raises:
        Unauthorized: It is not valid, or is missing where one is needed.
        OmniSiftError: It cannot be found out.
    """
    return tuple(scope for scope, probe in _PROBES.items() if _may(client, *probe))


def _may(client: Client, method: str, path: str) -> bool:
    try:
        client.send(Call(method, path, lambda _reply: None))
    except Forbidden:
        return False
    except NotFound:
        return True
    return True


def _ready(client: Client) -> Finding:
    try:
        client.send(Call("GET", "readyz", lambda _reply: None))
    except OmniSiftError as exc:
        advice = f"curl {client.base_url.rstrip('/')}/readyz says which part; it may be starting"
        return Finding("warn", "ready", f"not every part answers: {exc}", advice)
    return Finding("ok", "ready", "every part answers")


def _access(client: Client, *, has_key: bool) -> Iterator[Finding]:
    try:
        scopes = scopes_of(client)
        models = ", ".join(model.id for model in client.models())
    except Unauthorized as exc:
        advice = "give a valid key by OMNISIFT_API_KEY; a token ends at its time: ask for a new one"
        yield Finding("fail", "key", str(exc), advice)
        return
    except OmniSiftError as exc:
        yield Finding("fail", "key", f"cannot be checked: {exc}", "see the service's log")
        return
    if not has_key:
        yield Finding("ok", "key", "none given, none needed: the service is open to all")
    elif "publish" in scopes:
        yield Finding("ok", "key", f"valid, with {', '.join(scopes)}")
    else:
        names = ", ".join(scopes) or "neither publish nor ask"
        advice = "to publish, ask the operator for a key with scope publish"
        yield Finding("warn", "key", f"valid, with {names}", advice)
    yield Finding("ok", "model", models)


__all__ = ["check_service", "scopes_of", "skew"]
