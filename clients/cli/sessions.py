"""`omnisift sessions`. Knows nothing about options or exit codes."""

from clients.cli.console import Console
from clients.cli.render import session_card, session_table
from clients.sdk import Client
from clients.sdk.codec import encode


def list_sessions(client: Client, console: Console, *, is_json: bool) -> None:
    """Show all sessions, newest first."""
    sessions = client.list_sessions()
    if is_json:
        console.json(encode(sessions))
        return
    if not sessions:
        console.note("there are no sessions; start one by 'omnisift publish --synthetic'")
        return
    console.table(session_table(sessions))


def show_session(client: Client, console: Console, session_id: str, *, is_json: bool) -> None:
    session = client.get_session(session_id)
    if is_json:
        console.json(encode(session))
    else:
        console.result(session_card(session))


def share_session(client: Client, console: Console, session_id: str, *, is_json: bool) -> None:
    """Make a link that lets somebody watch this session, and ask, for an hour."""
    made = client.mint_token(session_id)
    if is_json:
        console.json(encode(made))
        return
    # in the fragment it is neither sent nor logged
    console.result(f"{client.base_url.rstrip('/')}/?session={session_id}#token={made.token}")


def end_session(client: Client, console: Console, session_id: str, *, is_json: bool) -> None:
    client.end_session(session_id)
    if is_json:
        console.json({"session_id": session_id, "status": "ended"})
    else:
        console.note(f"session {session_id} has ended")
