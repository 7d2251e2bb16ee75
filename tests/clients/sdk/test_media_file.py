from pathlib import Path

import pytest

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media_file import BLOCK_BYTES, open_media_file


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

    with open_media_file(tmp_path / name) as file:
        assert (file.content_type, file.size) == (content_type, 3)


async def test_it_is_read_in_blocks(tmp_path: Path) -> None:
    content = b"x" * (BLOCK_BYTES + 10)
    (tmp_path / "a.mp4").write_bytes(content)

    with open_media_file(tmp_path / "a.mp4") as file:
        assert [len(block) for block in file.blocks()] == [BLOCK_BYTES, 10]
        file.file.seek(0)
        assert b"".join([block async for block in file.ablocks()]) == content


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(SourceUnavailable, match=r"none\.mp4"),
        open_media_file(tmp_path / "none.mp4"),
    ):
        pass
