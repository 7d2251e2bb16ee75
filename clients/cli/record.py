"""`omnisift record`: a session's media and timings in one file, to replay it."""

import argparse
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.console import Console
from clients.cli.quantities import positive
from clients.sdk import Client, ConnectionFailed, SourceUnavailable

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser

# the last line of the recording's journal, with which a whole file ends
END = re.compile(rb'\{"reason":"(\w+)","crc32":\d+,"type":"end"\}$')
TAIL_BYTES = 256
REASONS = {
    "seconds": "its time was over",
    "bytes": "it was as large as the service lets it be",
    "too_slow": "this download was too slow for it",
    "session_over": "the session ended, or moved to another replica",
}


def add_record(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "record",
        help="record a session's media and timings, to replay them",
        description="Begin before anybody publishes, so that the replay can be the same to the "
        "last token. Replay with: omnisift replay FILE",
    )
    parser.add_argument("session", metavar="SESSION")
    parser.add_argument("-o", "--output", metavar="FILE", help="else SESSION.mkv")
    parser.add_argument("--seconds", type=positive, default=60.0, metavar="S", help="else 60")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def run_record(options: argparse.Namespace, console: Console) -> None:
    """Write the recording; a file that is not whole keeps the suffix `.part`.

    Raises:
        SourceUnavailable: The file cannot be written.
        ConnectionFailed: The recording was cut short.
    """
    path = Path(options.output or f"{options.session}.mkv")
    part = path.with_name(f"{path.name}.part")
    with Client(options.url, api_key=options.api_key) as client:
        console.note(f"recording for {options.seconds:g} s")
        pieces = client.record(options.session, seconds=options.seconds)
        try:
            first = next(pieces, b"")
            if not first:
                raise ConnectionFailed("nothing was recorded: nobody published")
            size, tail = _write(part, chain([first], pieces))
        except OSError as exc:
            raise SourceUnavailable(f"{part} cannot be written: {exc.strerror}") from exc
        finally:
            pieces.close()
    found = END.search(tail)
    if found is None:
        raise ConnectionFailed(f"the recording was cut short; what came is in {part}")
    part.replace(path)
    reason = found[1].decode()
    if options.json:
        console.json({"path": str(path), "size_bytes": size, "end_reason": reason})
        return
    console.note(f"{size / 1e6:.1f} MB, {REASONS.get(reason, reason)}")
    console.result(str(path))


def _write(path: Path, pieces: Iterable[bytes]) -> tuple[int, bytes]:
    """Write the pieces; returns their size and their last bytes."""
    size, tail = 0, b""
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            size, tail = size + len(piece), (tail + piece)[-TAIL_BYTES:]
    return size, tail
