"""Runs one command: options in, exit code out. The only module that knows all the others."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence

from clients.cli import exits
from clients.cli.arguments import build_parser
from clients.cli.ask import Showing, ask, ask_about
from clients.cli.bench import run_bench
from clients.cli.completion import complete, run_completion
from clients.cli.console import Console
from clients.cli.doctor import run_doctor
from clients.cli.environment import read_environment
from clients.cli.record import run_record
from clients.cli.replay import run_replay
from clients.cli.rules import run_rules
from clients.cli.sending import run_sending
from clients.cli.sessions import end_session, list_sessions, share_session, show_session
from clients.cli.sources import run_sources, run_upload
from clients.cli.watch import watch
from clients.sdk import Client, OmniSiftError
from clients.sdk.calls import FileOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `clients.cli.exits`.

    Args:
        argv: Arguments without the program's name; None takes those of the process.
    """
    environment = read_environment()
    parser = build_parser(environment)
    if environment.completes:
        complete(parser)
    options = _parse(parser, argv)
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
    how: FileOptions = {
        "window_s": options.window,
        "at_s": options.at,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "seed": options.seed,
    }
    show = Showing(
        console,
        is_streamed=not options.json if options.stream is None else options.stream,
        is_json=options.json,
    )
    if options.files:
        [question] = options.words
        ask_about(client, show, options.files, question, {**how, "profile": options.profile})
    else:
        session_id, question = options.words
        ask(client, show, session_id, question, how)


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    options, more = parser.parse_known_args(argv)
    if options.command == "ask":
        # argparse takes words as far as the next option, and no further
        options.words += [word for word in more if not word.startswith("-")]
        more = [word for word in more if word.startswith("-")]
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    return options


# what a command returns, if anything, is the exit code
_RUNS: dict[str, Callable[[argparse.Namespace, Console], int | None]] = {
    "publish": run_sending,
    "ask": _ask,
    "watch": _watch,
    "sessions": _sessions,
    "rules": run_rules,
    "doctor": run_doctor,
    "bench": run_bench,
    "sources": run_sources,
    "upload": run_upload,
    "record": run_record,
    "replay": run_replay,
    "completion": run_completion,
}


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.command == "sessions":
        if options.action == "list" and options.session is not None:
            parser.error("sessions list takes no ID; to see one: sessions show ID")
        if options.action != "list" and options.session is None:
            parser.error(f"sessions {options.action}: which one ? Give its ID")
    if options.command == "publish":
        _check_publish(parser, options)
    if options.command == "ask":
        _check_ask(parser, options)


def _check_ask(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.files:
        if len(options.words) != 1:
            parser.error("ask about files: give the question alone, in quotes, and no session")
        return
    if len(options.words) != 2:
        parser.error("ask: give a session and a question, in quotes; or --image, --clip, --sound")
    if options.profile is not None:
        parser.error("--profile is for files: a session has its own")


def _check_publish(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.loop and options.file is None:
        parser.error("--loop repeats a file: name one")
    if options.session is not None and options.profile is not None:
        parser.error("--profile is for a new session: leave out --profile or --session")
    if options.fast and options.file is None and options.watch is None:
        parser.error("--fast is for files: a camera has a speed of its own")
    if options.fast and (options.loop or options.duration is not None):
        parser.error("--fast sends a file whole: leave out --loop and --duration")
    if options.watch is None and (options.existing or options.idle is not None):
        parser.error("--existing and --idle are for --watch")
