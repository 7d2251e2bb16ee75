from pathlib import Path

import pytest

from service.ingest.clip import open_clip
from service.ingest.container import Container, ContainerLimits
from service.ingest.source import Picture, Sound
from service.source_errors import MediaUnreadable
from tests.clips import write_clip
from tests.stills import make_bomb, make_still

LIMITS = ContainerLimits(max_duration_s=5.0, refuses_longer=True)


def read_all(container: Container) -> list[Picture | Sound]:
    items = []
    while not container.is_over:
        items += container.read()
    container.close()
    return items


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_image_is_one_picture_at_the_start(image_format: str) -> None:
    still = make_still((30, 200, 90), size=(80, 60), image_format=image_format)

    (picture,) = read_all(open_clip(still, "image", LIMITS))

    assert isinstance(picture, Picture)
    assert picture.at_s == 0.0
    pixels = picture.convert()
    assert pixels.shape == (60, 80, 3)
    assert abs(pixels.reshape(-1, 3).mean(axis=0) - (30, 200, 90)).max() < 6


def test_video_and_audio_are_read_to_their_ends(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", duration_s=2.0).read_bytes()
    audio = write_clip(tmp_path / "a.m4a", duration_s=2.0, video=False).read_bytes()

    assert {type(item) for item in read_all(open_clip(video, "video", LIMITS))} == {Picture, Sound}
    assert {type(item) for item in read_all(open_clip(audio, "audio", LIMITS))} == {Sound}


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", duration_s=1.0).read_bytes()
    audio = write_clip(tmp_path / "a.m4a", duration_s=1.0, video=False).read_bytes()
    still = make_still((1, 2, 3))

    for content, kind, says in (
        (video, "audio", "send it as video_url"),
        (audio, "video", "send sound as input_audio"),
        (video, "image", "no format that is read"),
        (still, "video", "no format that is read"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:6379/x.ts\n", "video", "no format that is read"),
        (b"not media", "audio", "no format that is read"),
    ):
        with pytest.raises(MediaUnreadable, match=says):
            open_clip(content, kind, LIMITS)  # type: ignore[arg-type]  # one of the kinds


@pytest.mark.parametrize("names_length", [True, False])
def test_longer_file_is_refused_not_cut(tmp_path: Path, names_length: bool) -> None:
    # of MPEG transport streams, FFmpeg only guesses the length, so cut that off
    path = tmp_path / ("a.mp4" if names_length else "a.ts")
    codec = "mpeg4" if names_length else "mpeg2video"
    content = write_clip(path, duration_s=6.0, fps=25, codec=codec).read_bytes()

    with pytest.raises(MediaUnreadable, match="longer than 5 s"):
        read_all(open_clip(content, "video", LIMITS))


def test_picture_larger_than_allowed_is_never_decoded() -> None:
    bomb = make_bomb(16_000, 16_000)
    assert len(bomb) < 5_000_000
    forget_peak()
    before = peak_bytes()

    with pytest.raises(MediaUnreadable):
        read_all(open_clip(bomb, "image", LIMITS))

    # decoded it takes 1 GB
    assert peak_bytes() - before < 200 << 20


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    (peak_kb,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak_kb) << 10
