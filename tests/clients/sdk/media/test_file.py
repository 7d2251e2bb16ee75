from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from av import AudioFrame, VideoFrame

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.file import open_file
from clients.sdk.media.framing import VideoLimits
from clients.sdk.media.source import Source
from tests.clients.clips import make_clip, turn

ALL_FRAMES = VideoLimits(max_fps=20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", rate_hz=44_100)


def video(source: Source) -> list[VideoFrame]:
    assert source.video is not None
    return list(iter(source.video.read, None))


def audio(source: Source) -> list[AudioFrame]:
    assert source.audio is not None
    return list(iter(source.audio.read, None))


def lit_s(frames: list[VideoFrame]) -> list[float]:
    return [f.time for f in frames if f.to_ndarray(format="gray").mean() > 128]


def loud_s(frames: list[AudioFrame]) -> list[float]:
    return [f.time or 0.0 for f in frames if np.abs(f.to_ndarray()).max() > 4000]


def test_picture_and_sound_keep_their_times(clip: Path) -> None:
    with open_file(clip, limits=ALL_FRAMES) as source:
        pictures, sounds = video(source), audio(source)

    assert len(pictures) == 40
    assert lit_s(pictures) == pytest.approx([1.0, 1.05, 1.1, 1.15])
    assert loud_s(sounds)[0] == pytest.approx(1.0, abs=0.03)
    assert loud_s(sounds)[-1] == pytest.approx(1.18, abs=0.03)
    assert sounds[-1].time == pytest.approx(2.0, abs=0.05)


def test_tracks_are_read_in_any_order(clip: Path) -> None:
    with open_file(clip) as source:
        assert len(audio(source)) >= 100
        assert video(source)


def test_loop_repeats_both_tracks_together(clip: Path) -> None:
    with open_file(clip, loop=True, limits=ALL_FRAMES) as source:
        assert source.video is not None
        assert source.audio is not None
        pictures = [f for f in islice(iter(source.video.read, None), 200) if f is not None]
        sounds = [f for f in islice(iter(source.audio.read, None), 500) if f is not None]

    assert [t for t in lit_s(pictures) if t % 1 == 0] == [1, 3, 5, 7, 9]
    starts = [t for t in loud_s(sounds) if t - 0.02 not in loud_s(sounds)]
    beeps = np.array([t for i, t in enumerate(starts) if i == 0 or t - starts[i - 1] > 1])
    assert beeps == pytest.approx(np.array([1, 3, 5, 7, 9]), abs=0.05)
    assert [f.pts for f in sounds] == [960 * i for i in range(500)]


@pytest.mark.parametrize(("has_video", "has_audio"), [(True, False), (False, True)])
def test_file_with_one_track_is_a_source_with_one_track(
    tmp_path: Path, has_video: bool, has_audio: bool
) -> None:
    path = make_clip(tmp_path / "clip.mkv", length_s=0.5, has_video=has_video, has_audio=has_audio)

    with open_file(path) as source:
        assert (source.video is not None) == has_video
        assert (source.audio is not None) == has_audio


def test_picture_held_sideways_is_sent_upright(tmp_path: Path) -> None:
    path = turn(make_clip(tmp_path / "phone.mp4", length_s=0.5, has_audio=False))

    with open_file(path) as source:
        assert {(f.width, f.height) for f in video(source)} == {(48, 64)}


def test_damaged_middle_does_not_end_the_stream(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", size=(320, 240))
    data = bytearray(path.read_bytes())
    fifth = len(data) // 5
    data[fifth : fifth + 600] = b"\xff" * 600
    path.write_bytes(data)

    with open_file(path, limits=ALL_FRAMES) as source:
        pictures, sounds = video(source), audio(source)

    assert len(pictures) < 40
    assert pictures[-1].time == pytest.approx(1.95)
    assert sounds[-1].time == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.mp4", None, "cannot be read: No such file"),
        ("empty.mp4", b"", "cannot be read: it is empty"),
        ("text.mp4", b"hello " * 100, "cannot be read: it is damaged, or no media file"),
        ("words.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "neither video nor audio"),
    ],
)
def test_what_is_no_media_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceUnavailable, match=message):
        open_file(path)


def test_cut_file_is_refused(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:500])

    with pytest.raises(SourceUnavailable, match="cannot be read"):
        open_file(path)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        open_file(tmp_path)
