import base64
from pathlib import Path

import pytest

from clients.sdk.attachments import AskedFile, file_parts
from clients.sdk.errors import SourceUnavailable

CONTENT = b"a file"
ENCODED = base64.b64encode(CONTENT).decode()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.png", "b.JPG", "c.mp4", "d.m4a", "e.wav", "f.bin", "g.oga"):
        (tmp_path / name).write_bytes(CONTENT)
    (tmp_path / "empty.png").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "kind", "url"),
    [
        ("a.png", "image", f"data:image/png;base64,{ENCODED}"),
        (Path("b.JPG"), "image", f"data:image/jpeg;base64,{ENCODED}"),
        ("c.mp4", "video", f"data:video/mp4;base64,{ENCODED}"),
        (("video", "f.bin"), "video", f"data:video/mp4;base64,{ENCODED}"),
        (("image", "f.bin"), "image", f"data:image/png;base64,{ENCODED}"),
        ("https://host/a.png", "image", "https://host/a.png"),
        (("video", "http://host/talk"), "video", "http://host/talk"),
    ],
)
def test_pictures_and_videos_have_a_url(file: AskedFile, kind: str, url: str) -> None:
    assert file_parts([file]) == [{"type": f"{kind}_url", f"{kind}_url": {"url": url}}]


@pytest.mark.parametrize(
    ("file", "sound_format"),
    [("e.wav", "wav"), ("g.oga", "ogg"), (("audio", "d.m4a"), "m4a"), (("audio", "c.mp4"), "m4a")],
)
def test_sound_has_a_format(file: AskedFile, sound_format: str) -> None:
    recording = {"data": ENCODED, "format": sound_format}

    assert file_parts([file]) == [{"type": "input_audio", "input_audio": recording}]


def test_order_stays() -> None:
    parts = file_parts(["c.mp4", "a.png", "e.wav"])

    assert [part["type"] for part in parts] == ["video_url", "image_url", "input_audio"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("none.png", "No such file"),
        ("empty.png", "it is empty"),
        ("f.bin", "neither video nor sound nor an image"),
        (("audio", "https://host/a.wav"), "not by its URL"),
    ],
)
def test_what_cannot_be_sent_is_named(file: AskedFile, says: str) -> None:
    with pytest.raises(SourceUnavailable, match=says):
        file_parts([file])
