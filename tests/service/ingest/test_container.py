from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from service.errors import ServiceError
from service.ingest.container import Container, ContainerLimits, open_container
from service.ingest.source import Picture, Sound
from service.source_errors import MediaUnreadable, SourceUnreachable
from tests.clips import write_clip

LIMITS = ContainerLimits()
PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.mp4\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@contextmanager
def opened(path: Path, limits: ContainerLimits = LIMITS) -> Iterator[Container]:
    with path.open("rb") as file, closing(open_container(file, limits)) as container:
        yield container


def read_all(container: Container) -> list[Picture | Sound]:
    items = []
    while not container.is_over:
        items += container.read()
    return items


def test_all_frames_come_with_times_from_zero(tmp_path: Path) -> None:
    with opened(write_clip(tmp_path / "clip.mp4", duration_s=2.0)) as container:
        items = read_all(container)

        pictures = [item for item in items if isinstance(item, Picture)]
        sounds = [item for item in items if isinstance(item, Sound)]
        assert container.kinds == ("video", "audio")
        assert not container.is_endless
        assert [picture.at_s for picture in pictures] == pytest.approx(
            [number / 10 for number in range(20)]
        )
        assert sum(len(sound.convert()) for sound in sounds) == pytest.approx(32_000, abs=1600)
        assert pictures[0].convert().shape == (48, 64, 3)
        assert container.take_discards() == {}


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_one_track_is_enough(tmp_path: Path, kind: str) -> None:
    path = write_clip(tmp_path / "clip.mp4", video=kind == "video", audio=kind == "audio")

    with opened(path) as container:
        assert container.kinds == (kind,)
        assert read_all(container)


@pytest.mark.parametrize("content", [b"", b"no media at all" * 100], ids=["empty", "noise"])
def test_a_file_without_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)

    with pytest.raises(MediaUnreadable, match="empty, damaged, or in no format"), opened(path):
        pass


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(MediaUnreadable), opened(path):
        pass


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_no_container(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / "clip.mp4")
    path = tmp_path / name
    path.write_text(PLAYLISTS[name])

    with pytest.raises(MediaUnreadable), opened(path):
        pass


def test_damaged_packets_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=4.0, video=False)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    third = (content.index(b"moov") - start) // 3
    content[start + third : start + 2 * third] = b"\xff" * third
    path.write_bytes(content)

    with opened(path) as container:
        times_s = [item.at_s for item in read_all(container)]
        discards = container.take_discards()

    assert discards["audio", "undecodable"] > 10
    assert len(times_s) > 80
    assert (times_s[0], times_s[-1]) == pytest.approx((0.0, 4.0), abs=0.1)


def test_oversized_video_is_left_out_and_its_sound_is_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", size=(640, 480), duration_s=1.0)
    limits = ContainerLimits(max_frame_pixels=320 * 240)

    with opened(path, limits) as container:
        assert container.kinds == ("audio",)
        assert all(isinstance(item, Sound) for item in read_all(container))
        assert container.take_discards() == {("video", "oversized"): 1}


def test_oversized_video_alone_is_refused_with_its_size(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "8k.mp4", size=(7680, 4320), duration_s=0.1, audio=False)

    with pytest.raises(MediaUnreadable, match="7680x4320"), opened(path):
        pass


def test_what_is_longer_than_the_limit_is_cut(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", duration_s=3.0)

    with opened(path, ContainerLimits(max_duration_s=1.0)) as container:
        assert max(item.at_s for item in read_all(container)) <= 1.0
        assert container.is_cut


def test_a_missing_source_is_unreachable_without_its_name() -> None:
    with pytest.raises(SourceUnreachable) as caught:
        open_container("/nowhere/secret", LIMITS, protocols="file")

    assert "secret" not in str(caught.value)
    assert isinstance(caught.value, ServiceError)
    assert caught.value.is_retryable


def test_ffmpeg_opens_nothing_by_itself(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")

    with pytest.raises(MediaUnreadable):
        open_container(str(path), LIMITS)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_what_was_played_before_is_left_out(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, duration_s=90.0)
    with opened(path) as whole, opened(path) as rest:
        rest.skip(80.0)
        expected = [item for item in read_all(whole) if item.at_s >= 80.0]
        found = read_all(rest)

        pictures = [[i for i in items if isinstance(i, Picture)] for items in (expected, found)]
        assert [i.at_s for i in pictures[1]] == pytest.approx([i.at_s - 80.0 for i in pictures[0]])
        for one, other in zip(*pictures, strict=True):
            assert abs(one.convert().astype(int) - other.convert().astype(int)).max() <= 2
        seconds = [
            sum(len(i.convert()) for i in items if isinstance(i, Sound)) / 16_000
            for items in (expected, found)
        ]
        assert seconds[1] == pytest.approx(seconds[0], abs=0.1)


def test_where_nothing_can_be_found_it_is_read_up_to_there(tmp_path: Path) -> None:
    content = write_clip(tmp_path / "clip.mkv", duration_s=4.0).read_bytes()

    class OneWay(BytesIO):
        def seekable(self) -> bool:
            return False

    with closing(open_container(OneWay(content), LIMITS)) as container:
        container.skip(3.0)
        items = read_all(container)

    assert 0 <= items[0].at_s < 0.1
    assert max(item.at_s for item in items) == pytest.approx(1.0, abs=0.15)


def test_a_recording_that_was_played_to_its_end_ends(tmp_path: Path) -> None:
    with opened(write_clip(tmp_path / "clip.mp4", duration_s=2.0)) as container:
        container.skip(6.0)

        assert read_all(container) == []
