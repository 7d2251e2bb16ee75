"""Checks of the way that media takes: candidates, STUN and TURN, a connection for a moment."""

import time
from collections.abc import AsyncIterator

from clients.cli.doctor.finding import Finding
from clients.sdk import AsyncClient, Forbidden, OmniSiftError
from clients.sdk.media import open_synthetic
from clients.sdk.media.probe import SERVER_LIMIT_S, ask_server, candidates
from clients.sdk.publish import Progress, publish
from clients.sdk.whip import IceServer, ice_servers

# a sign of life in both directions needs no more
TRIAL_S = 0.5
RELAY_ADVICE = "see docs/operations.md, 'Media': let UDP through, or set up a TURN relay"


async def check_network(client: AsyncClient, *, may_publish: bool) -> AsyncIterator[Finding]:
    """Whether media can get from here to the service.

    Args:
        client: Of the service.
        may_publish: Make a session, connect to it for a moment, and end it.
    """
    yield await _candidates()
    try:
        servers = await client.send(ice_servers())
    except Forbidden:
        yield Finding("warn", "WHIP", "not tried: this key may not publish")
        return
    except OmniSiftError as exc:
        yield Finding("fail", "WHIP", f"the route refuses: {exc}", "is a proxy in the way ?")
        return
    named = f"{len(servers)} STUN or TURN servers" if servers else "no STUN or TURN server"
    yield Finding("ok", "WHIP", f"the route answers and names {named}")
    for server in servers:
        yield await check_server(server)
    if may_publish:
        yield await _connection(client)


async def check_server(server: IceServer, limit_s: float = SERVER_LIMIT_S) -> Finding:
    """Whether a STUN server tells an address, or a TURN server gives a relay."""
    is_relay = server.url.startswith("turn")
    name, given = ("TURN", "a relay at") if is_relay else ("STUN", "our address as")
    advice = "check its name, port and firewall"
    if is_relay:
        advice += ", and that OMNISIFT_API__TURN_SECRET is the server's own"
    try:
        address = await ask_server(server, limit_s)
    except (ValueError, OSError, TimeoutError) as exc:
        reason = str(exc) or "no answer in time"
        return Finding("fail", name, f"{server.url}: {reason}", advice)
    return Finding("ok", name, f"{server.url} gives {given} {address}")


async def _candidates() -> Finding:
    found = await candidates()
    if not found:
        return Finding("fail", "ICE", "no candidates", "is this machine on a network ?")
    return Finding("ok", "ICE", f"candidates {', '.join(found)}")


async def _connection(client: AsyncClient) -> Finding:
    began_s = time.monotonic()
    live_s: list[float] = []

    def note(progress: Progress) -> None:
        if progress.state == "live" and not live_s:
            live_s.append(time.monotonic() - began_s)

    try:
        session = await client.create_session(metadata={"made_by": "omnisift doctor"})
        try:
            with open_synthetic() as source:
                await publish(client, session.id, source, duration_s=TRIAL_S, on_progress=note)
        finally:
            await client.end_session(session.id)
    except Forbidden:
        return Finding("warn", "media", "not tried: a session's token cannot make a session")
    except OmniSiftError as exc:
        return Finding("fail", "media", str(exc), RELAY_ADVICE)
    return Finding("ok", "media", f"connected in {live_s[0]:.1f} s; the trial session is ended")


__all__ = ["check_network", "check_server"]
