from pathlib import Path

import pytest

from clients.sdk.errors import SourceUnavailable
from clients.sdk.recording import BLOCK_BYTES, open_recording


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.mp4", "video/mp4"),
        ("a.mp3", "audio/mpeg"),
        ("a.txt", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_its_type_is_known_by_its_name(tmp_path: Path, name: str, content_type: str) -> None:
    (tmp_path / name).write_bytes(b"abc")

    with open_recording(tmp_path / name) as recording:
        assert (recording.content_type, recording.size) == (content_type, 3)


async def test_it_is_read_in_blocks(tmp_path: Path) -> None:
    content = b"x" * (BLOCK_BYTES + 10)
    (tmp_path / "a.mp4").write_bytes(content)

    with open_recording(tmp_path / "a.mp4") as recording:
        assert [len(block) for block in recording.blocks()] == [BLOCK_BYTES, 10]
        recording.file.seek(0)
        assert b"".join([block async for block in recording.ablocks()]) == content


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceUnavailable, match=r"none\.mp4"),
        open_recording(tmp_path / "none.mp4"),
    ):
        pass
