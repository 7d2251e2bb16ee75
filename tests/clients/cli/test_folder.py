import asyncio
from pathlib import Path

import pytest

from clients.cli.folder import Arrivals, Stamp, list_files, watch_folder
from clients.sdk import SourceUnavailable

A, B = Path("a.mp4"), Path("b.mp4")
OLD, NEW = Stamp(10, 1), Stamp(10, 2)


def test_file_is_told_once_it_stays_the_same() -> None:
    arrivals = Arrivals({})

    assert arrivals.look({A: Stamp(5, 1)}) == []
    assert arrivals.look({A: OLD}) == []
    assert arrivals.look({A: OLD}) == [A]
    assert arrivals.look({A: OLD}) == []


def test_older_files_come_first_and_known_ones_never() -> None:
    arrivals = Arrivals({Path("c.mp4"): OLD})
    listing = {A: NEW, B: OLD, Path("c.mp4"): OLD}

    arrivals.look(listing)

    assert arrivals.look(listing) == [B, A]


def test_empty_file_waits_for_its_content() -> None:
    arrivals = Arrivals({})
    for _ in range(3):
        assert arrivals.look({A: Stamp(0, 1)}) == []

    arrivals.look({A: NEW})
    assert arrivals.look({A: NEW}) == [A]


def test_file_that_went_away_and_came_again_is_new() -> None:
    arrivals = Arrivals({A: OLD})
    arrivals.look({})
    arrivals.look({A: NEW})

    assert arrivals.look({A: NEW}) == [A]


def test_unfinished_and_hidden_files_and_folders_are_not_listed(tmp_path: Path) -> None:
    for name in ("a.mp4", ".b.mp4", "c.mp4.part", "d.tmp"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder").mkdir()

    assert [path.name for path in list_files(tmp_path)] == ["a.mp4"]


@pytest.mark.parametrize("name", ["absent", "a.mp4"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.mp4").touch()

    with pytest.raises(SourceUnavailable, match="cannot be watched"):
        list_files(tmp_path / name)


async def test_new_files_are_taken_until_none_comes(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"x")
    taken: list[str] = []

    async def take(path: Path) -> None:
        taken.append(path.name)

    async def record() -> None:
        await asyncio.sleep(0.1)
        (tmp_path / "new.mp4").write_bytes(b"x")

    async with asyncio.TaskGroup() as group:
        group.create_task(record())
        num_taken = await watch_folder(tmp_path, take, idle_s=0.3, poll_s=0.02)

    assert (num_taken, taken) == (1, ["new.mp4"])


async def test_existing_files_are_taken_where_asked_for(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"x")
    taken: list[Path] = []

    async def take(path: Path) -> None:
        taken.append(path)

    await watch_folder(tmp_path, take, has_existing=True, idle_s=0.1, poll_s=0.02)

    assert taken == [tmp_path / "old.mp4"]
