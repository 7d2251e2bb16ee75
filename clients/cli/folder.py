"""Files that appear in a folder, one after the other. Knows nothing of what is done with them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clients.sdk import SourceUnavailable

# names that programs give to what they are still writing
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file's state: when it stays the same from one look to the next, the file is complete."""

    size_bytes: int
    modified_ns: int


class Arrivals:
    """Tells which files are new and complete. Pure.

    Args:
        known: Paths that do not count as new.
    """

    def __init__(self, known: Mapping[Path, Stamp]) -> None:
        self._told = set(known)
        self._last: dict[Path, Stamp] = {}

    def look(self, listing: Mapping[Path, Stamp]) -> list[Path]:
        """New files that have not changed since the last look, the oldest first; each once.

        An empty file is one that somebody is about to write.
        """
        ready = [
            path
            for path, stamp in listing.items()
            if path not in self._told and stamp.size_bytes and self._last.get(path) == stamp
        ]
        # a file that goes away and comes again is new
        self._told = (self._told & set(listing)) | set(ready)
        self._last = dict(listing)
        return sorted(ready, key=lambda path: (listing[path].modified_ns, path))


def list_files(folder: Path) -> dict[Path, Stamp]:
    """The files of a folder that may be media, with their state.

    Raises:
        SourceUnavailable: It is no folder, or cannot be read.
    """
    found = {}
    try:
        for path in folder.iterdir():
            if path.name.startswith(".") or path.suffix in UNFINISHED or not path.is_file():
                continue
            about = path.stat()
            found[path] = Stamp(about.st_size, about.st_mtime_ns)
    except FileNotFoundError as exc:
        if not folder.exists():
            raise SourceUnavailable(f"{folder} cannot be watched: there is no such folder") from exc
        return found  # a file went away while we looked
    except OSError as exc:
        raise SourceUnavailable(f"{folder} cannot be watched: {exc.strerror}") from exc
    return found


async def watch_folder(
    folder: Path,
    take: Callable[[Path], Awaitable[None]],
    *,
    has_existing: bool = False,
    idle_s: float | None = None,
    poll_s: float = 1.0,
) -> int:
    """Take every file that appears, one after the other, until none has come for `idle_s`.

    Args:
        folder: Where.
        take: Called with each.
        has_existing: What is there already counts as new.
        idle_s: None: for ever.
        poll_s: Pause between two looks.

    Returns:
        How many were taken.

    Raises:
        SourceUnavailable: The folder cannot be read (any more).
    """
    arrivals = Arrivals({} if has_existing else list_files(folder))
    num_taken = 0
    last_s = time.monotonic()
    while idle_s is None or time.monotonic() - last_s <= idle_s:
        for path in arrivals.look(await asyncio.to_thread(list_files, folder)):
            await take(path)
            num_taken += 1
            last_s = time.monotonic()
        await asyncio.sleep(poll_s)
    return num_taken


__all__ = ["Arrivals", "Stamp", "list_files", "watch_folder"]
