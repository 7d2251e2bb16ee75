"""Checks of who may come in, and by which ways media comes. Pure."""

from collections.abc import Iterator, Sequence

from service.doctor.finding import Finding

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MEDIA = "docs/operations.md, 'Media: relay or host network'"


def check_keys(host: str, *, is_open: bool, has_token_secret: bool) -> Iterator[Finding]:
    """Whether the service is open to more than it should be."""
    if not is_open:
        yield Finding("ok", "keys", "configured: nobody gets in without")
        if not has_token_secret:
            advice = "set OMNISIFT_AUTH__TOKEN_SECRET, the same for all starts"
            yield Finding("warn", "tokens", "end when the service restarts", advice)
    elif host in LOOPBACK:
        yield Finding("ok", "keys", "none: open, on this machine only")
    else:
        advice = "python -m service keygen, then OMNISIFT_AUTH__KEYS_FILE"
        yield Finding("warn", "keys", f"none: all who reach {host} may do everything", advice)


def check_ice(
    host: str, told: Sequence[str], own: Sequence[str], *, has_turn_secret: bool
) -> Iterator[Finding]:
    """Whether STUN and TURN settings fit together.

    Args:
        host: Where the HTTP server listens.
        told: URLs that publishers are told.
        own: URLs that the service itself uses.
        has_turn_secret: Credentials for the TURN servers can be made.
    """
    for url in (*told, *own):
        if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
            advice = "write stun:HOST:PORT or turn:HOST:PORT?transport=udp"
            yield Finding("fail", "ICE", f"{url!r} is no STUN or TURN URL", advice)
            return
    turns = [url for url in told if url.startswith("turn")]
    if turns and not has_turn_secret:
        advice = "set OMNISIFT_API__TURN_SECRET to the servers' static-auth-secret"
        yield Finding("warn", "ICE", "TURN servers without a secret get no credentials", advice)
    elif has_turn_secret and not turns:
        advice = "add turn: URLs to OMNISIFT_API__ICE_SERVERS"
        yield Finding("warn", "ICE", "a TURN secret, but no TURN server is told", advice)
    elif not told and host not in LOOPBACK:
        message = "publishers are told of no STUN or TURN server: one network only"
        yield Finding("warn", "ICE", message, MEDIA)
    else:
        names = ", ".join(told) or "none needed on loopback"
        yield Finding("ok", "ICE", names)


__all__ = ["check_ice", "check_keys"]
