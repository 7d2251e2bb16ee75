"""The options of the command line. Knows nothing about what the commands do."""

import argparse
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from clients.cli import exits
from clients.cli.bench import add_bench
from clients.cli.completion import add_completion
from clients.cli.doctor import add_doctor
from clients.cli.environment import Environment
from clients.cli.quantities import not_negative, positive
from clients.cli.record import add_record
from clients.cli.replay import add_replay
from clients.cli.rules import add_rules
from clients.cli.sources import add_sources

AddParser = Callable[..., argparse.ArgumentParser]

ACTIONS = ("list", "show", "share", "end")
PROFILES = ("live", "paper-35", "paper-25", "speech", "full")


def build_parser(environment: Environment) -> argparse.ArgumentParser:
    """Make the parser; its result has `command` beside the options of that command."""
    parser = argparse.ArgumentParser(
        prog="omnisift",
        description="Stream camera and microphone into an OmniSIFT Live service and ask about it.",
        epilog="exit codes:\n" + "\n".join(f"{c:5}  {m}" for c, m in exits.MEANINGS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"omnisift {_version()}")
    _add_connection(parser, environment)
    parser.set_defaults(url=environment.url, api_key=environment.api_key)
    # the same options after the command; absent there, they must not undo those before it
    anywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_connection(anywhere, environment)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(commands.add_parser, parents=[anywhere])
    _add_publish(add)
    _add_ask(add)
    _add_watch(add)
    _add_sessions(add)
    add_rules(add)
    add_doctor(add)
    add_bench(add)
    add_sources(add)
    add_record(add)
    add_replay(add)
    add_completion(add)
    return parser


def _add_connection(parser: argparse.ArgumentParser, environment: Environment) -> None:
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--url", metavar="URL", help=f"where the service is; else OMNISIFT_URL, {environment.url}"
    )
    group.add_argument(
        "--api-key", metavar="KEY", help="better by OMNISIFT_API_KEY: others see arguments"
    )


def _add_publish(add: AddParser) -> None:
    parser = add(
        "publish",
        help="stream files, a camera or a made-up scene",
        description="Stream into a session. Prints the session's id first.",
    )
    source = parser.add_argument_group("source").add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", metavar="FILE", help="a media file")
    source.add_argument(
        "--camera",
        nargs="?",
        const="/dev/video0",
        metavar="DEVICE",
        help="a camera (%(const)s) and the microphone",
    )
    source.add_argument("--synthetic", action="store_true", help="moving shapes and tones")
    source.add_argument("--watch", metavar="FOLDER", help="every media file that appears there")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--realtime", action="store_true", help="files as they play (the default)")
    speed.add_argument(
        "--fast",
        action="store_true",
        help="send files whole, and wait until the service has played them",
    )
    parser.add_argument("--existing", action="store_true", help="with --watch: what is there too")
    parser.add_argument(
        "--idle", type=not_negative, metavar="S", help="with --watch: stop after S s without a file"
    )
    parser.add_argument("--microphone", default="default", metavar="DEVICE", help="with --camera")
    parser.add_argument("--no-microphone", action="store_true", help="with --camera: picture only")
    parser.add_argument("--loop", action="store_true", help="repeat the file for ever")
    parser.add_argument("--session", metavar="ID", help="publish into this one, not a new one")
    parser.add_argument("--profile", choices=PROFILES, help="compression of the new session")
    parser.add_argument("--duration", type=positive, metavar="S", help="stop after S seconds")
    parser.add_argument("--end", action="store_true", help="end the session when done")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def _add_ask(add: AddParser) -> None:
    parser = add(
        "ask",
        help="ask about a session's stream, or about files",
        usage="omnisift ask [options] SESSION QUESTION\n"
        "       omnisift ask [options] --image FILE ... QUESTION",
    )
    parser.add_argument("words", nargs="*", metavar="SESSION QUESTION", help="or QUESTION alone")
    files = parser.add_argument_group(
        "files", "instead of a session: up to 16, shown to the model in this order"
    )
    for option, kind in (("--image", "image"), ("--clip", "video"), ("--sound", "audio")):
        files.add_argument(
            option,
            dest="files",
            action="append",
            type=partial(_of_kind, kind),
            metavar="FILE",
            help="a path" if kind == "audio" else "a path, or a URL that the service may fetch",
        )
    files.add_argument("--profile", choices=PROFILES, help="compression of the files")
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show the answer as it is generated (unless --json)",
    )
    parser.add_argument("--window", type=positive, metavar="S", help="only the last S seconds")
    parser.add_argument("--at", type=positive, metavar="S", help="as of S seconds of stream")
    parser.add_argument("--max-tokens", type=int, metavar="N")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 is greedy")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")


def _of_kind(kind: str, file: str) -> tuple[str, str]:
    return kind, file


def _add_watch(add: AddParser) -> None:
    parser = add("watch", help="follow a session's events until it ends")
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("--no-replay", action="store_true", help="only what happens from now on")
    parser.add_argument("--json", action="store_true", help="each event as a line of JSON")


def _add_sessions(add: AddParser) -> None:
    parser = add("sessions", help="list, show, share or end sessions")
    parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
    parser.add_argument("session", nargs="?", metavar="ID", help="which one, unless to list")
    parser.add_argument("--json", action="store_true")


def _version() -> str:
    try:
        return version("omnisift-live")
    except PackageNotFoundError:
        return "(not installed)"
