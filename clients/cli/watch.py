"""`omnisift watch`. Knows nothing about options or exit codes."""

from clients.cli.console import Console
from clients.cli.render import WATCH_HEADER, event_line
from clients.sdk import Client, OmniSiftError


def watch(
    client: Client, console: Console, session_id: str, *, replay: bool, is_json: bool
) -> None:
    """Show a session's events until it ends."""

    def on_lost(error: OmniSiftError | None, wait_s: float) -> None:
        console.note(f"connection lost ({error or 'closed'}), trying again in {wait_s:.1f} s")

    start_at_s = None
    for event in client.events(session_id, replay=replay, on_lost=on_lost):
        if is_json:
            console.json(event.data)
            continue
        if start_at_s is None:
            start_at_s = event.at_s
            console.result(WATCH_HEADER)
        console.result(event_line(event, start_at_s=start_at_s))
