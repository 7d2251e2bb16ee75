"""Runs one command: options in, exit code out. The only module that knows all the others."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clients.cli import exits
from clients.cli.arguments import build_parser
from clients.cli.ask import ask
from clients.cli.completion import complete, run_completion
from clients.cli.console import Console
from clients.cli.doctor import run_doctor
from clients.cli.environment import read_environment
from clients.cli.publish import Order, run_publish
from clients.cli.rules import run_rules
from clients.cli.sessions import end_session, list_sessions, share_session, show_session
from clients.cli.sources import run_sources, run_upload
from clients.cli.watch import watch
from clients.sdk import AsyncClient, Client, MissingDependency, OmniSiftError, SourceUnavailable

if TYPE_CHECKING:
    from clients.sdk.media import Source


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `clients.cli.exits`.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    environment = read_environment()
    parser = build_parser(environment)
    if environment.completes:
        complete(parser)
    options = parser.parse_args(argv)
    _check(parser, options)
    console = Console(is_plain=environment.is_plain)
    try:
        return _RUNS[options.command](options, console) or exits.DONE
    except OmniSiftError as exc:
        end = exits.exit_for(exc)
        console.note(f"omnisift: {exc}" + (f". {end.hint}" if end.hint else ""))
        return end.code
    except KeyboardInterrupt:
        console.note("interrupted")
        return exits.INTERRUPTED
    except asyncio.CancelledError:
        console.note("terminated")
        return exits.TERMINATED
    except BrokenPipeError:
        # who read our output left, as `head` does: nothing more can be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.DONE


def _ask(options: argparse.Namespace, console: Console) -> None:
    with Client(options.url, api_key=options.api_key) as client:
        _ask_with(client, options, console)


def _watch(options: argparse.Namespace, console: Console) -> None:
    with Client(options.url, api_key=options.api_key) as client:
        watch(client, console, options.session, replay=not options.no_replay, is_json=options.json)


def _sessions(options: argparse.Namespace, console: Console) -> None:
    with Client(options.url, api_key=options.api_key) as client:
        if options.action == "list":
            list_sessions(client, console, is_json=options.json)
            return
        act = {"show": show_session, "share": share_session, "end": end_session}
        act[options.action](client, console, options.session, is_json=options.json)


def _ask_with(client: Client, options: argparse.Namespace, console: Console) -> None:
    ask(
        client,
        console,
        options.session,
        options.question,
        {
            "window_s": options.window,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
        },
        is_streamed=not options.json if options.stream is None else options.stream,
        is_json=options.json,
    )


def _publish(options: argparse.Namespace, console: Console) -> None:
    order = Order(options.session, options.profile, options.duration, options.end)

    async def run(source: "Source") -> None:
        task = asyncio.current_task()
        assert task is not None
        # as asyncio does for Ctrl-C: publishing then says goodbye to the service
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with AsyncClient(options.url, api_key=options.api_key) as client:
            await run_publish(client, console, source, order, is_json=options.json)

    # opened first: a wrong file should not leave an empty session behind
    with _open_source(options) as source:
        asyncio.run(run(source))


def _open_source(options: argparse.Namespace) -> "Source":
    try:
        from clients.sdk import media
        from clients.sdk.media.camera import Devices
    except ImportError as exc:
        raise MissingDependency(
            f"publishing needs {exc.name}, which is not installed: pip install aiortc av numpy"
        ) from exc
    if options.synthetic:
        return media.open_synthetic()
    if options.camera is not None:
        microphone = None if options.no_microphone else options.microphone
        try:
            return media.open_camera(Devices(options.camera, microphone))
        except SourceUnavailable as exc:
            hint = "See --camera DEVICE, --microphone DEVICE, --no-microphone"
            raise SourceUnavailable(f"{exc}. {hint}") from exc
    return media.open_file(options.file, loop=options.loop)


# what a command returns, if anything, is the exit code
_RUNS: dict[str, Callable[[argparse.Namespace, Console], int | None]] = {
    "publish": _publish,
    "ask": _ask,
    "watch": _watch,
    "sessions": _sessions,
    "rules": run_rules,
    "doctor": run_doctor,
    "sources": run_sources,
    "upload": run_upload,
    "completion": run_completion,
}


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.command == "sessions":
        if options.action == "list" and options.session is not None:
            parser.error("sessions list takes no ID; to see one: sessions show ID")
        if options.action != "list" and options.session is None:
            parser.error(f"sessions {options.action}: which one ? Give its ID")
    if options.command == "publish":
        if options.loop and options.file is None:
            parser.error("--loop repeats a file: name one")
        if options.session is not None and options.profile is not None:
            parser.error("--profile is for a new session: leave out --profile or --session")
