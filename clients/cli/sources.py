"""`omnisift sources` and `omnisift upload`: media that the service fetches, or is sent."""

import argparse
from typing import TYPE_CHECKING

from clients.cli.console import Console
from clients.cli.table import Table
from clients.sdk import Client, SessionSource
from clients.sdk.codec import encode
from clients.sdk.media_file import open_media_file

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser

SPEEDS = ("realtime", "fast")


def add_sources(add: "AddParser") -> None:
    """The options of both commands."""
    parser = add(
        "sources",
        help="let the service fetch a camera or a media file",
        description="The service must allow the host or the folder; `omnisift watch` shows how a "
        "source fares.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("add", help="fetch media for a session")
    new.add_argument("session", metavar="SESSION")
    new.add_argument("source_url", metavar="URL", help="rtsp, rtsps, http, https or file")
    new.add_argument("--speed", choices=SPEEDS, help="of a media file; else realtime")
    all_ = actions.add_parser("list", help="what is and was fetched, and how it stands")
    all_.add_argument("session", metavar="SESSION")
    gone = actions.add_parser("remove", help="stop fetching it")
    gone.add_argument("session", metavar="SESSION")
    gone.add_argument("source", metavar="SOURCE", help="its id")
    upload = add(
        "upload",
        help="send a media file",
        description="Send a media file, to be played into a session, and print the session's id. "
        "Does not wait: `publish FILE --fast` does the same and ends when the file was played.",
    )
    upload.add_argument("file", metavar="FILE")
    upload.add_argument("--session", metavar="ID", help="play it into this one, not a new one")
    upload.add_argument("--speed", choices=SPEEDS, help="how fast it is played; else fast")
    for each in (new, all_, gone, upload):
        each.add_argument("--json", action="store_true")


def run_sources(options: argparse.Namespace, console: Console) -> None:
    with Client(options.url, api_key=options.api_key) as client:
        {"add": _add, "list": _list, "remove": _remove}[options.action](client, options, console)


def run_upload(options: argparse.Namespace, console: Console) -> None:
    # opened first: a wrong file should not leave an empty session behind
    with (
        open_media_file(options.file),
        Client(options.url, api_key=options.api_key) as client,
    ):
        session_id = options.session or client.create_session().id
        source = client.upload(session_id, options.file, speed=options.speed or "fast")
    if options.json:
        console.json({"session_id": session_id, "source": encode(source)})
        return
    console.result(session_id)
    console.note(f"{options.file} is being played; follow it: omnisift watch {session_id}")


def _add(client: Client, options: argparse.Namespace, console: Console) -> None:
    source = client.add_source(
        options.session, options.source_url, speed=options.speed or "realtime"
    )
    if options.json:
        console.json(encode(source))
        return
    console.result(source.id)
    console.note(f"see how it fares: omnisift watch {options.session}")


def _list(client: Client, options: argparse.Namespace, console: Console) -> None:
    sources = client.list_sources(options.session)
    if options.json:
        console.json(encode(sources))
    elif sources:
        console.table(_table(sources))
    else:
        console.note("no sources; add one by 'omnisift sources add SESSION URL'")


def _remove(client: Client, options: argparse.Namespace, console: Console) -> None:
    client.remove_source(options.session, options.source)
    if options.json:
        console.json({"source_id": options.source, "status": "removed"})
    else:
        console.note(f"source {options.source} is removed")


def _table(sources: tuple[SessionSource, ...]) -> Table:
    rows = [
        (source.id, source.url or "(upload)", source.speed, source.state, source.reason or "-")
        for source in sources
    ]
    return Table(("source", "url", "speed", "state", "reason"), rows)


__all__ = ["add_sources", "run_sources", "run_upload"]
