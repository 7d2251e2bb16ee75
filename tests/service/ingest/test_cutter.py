from dataclasses import replace

import numpy as np
import pytest
import torch

from service.ingest.cutter import Cutter
from service.ingest.queue import Begin, Gone, Item
from service.ingest.source import Picture, Sound
from service.media.chunk import Gap
from service.media.chunker import Chunker, ChunkerConfig
from tests.service.ingest.items import make_picture, make_sound

STARTED_AT_S = 1_790_000_000.0
JPEG_START = b"\xff\xd8"
CONFIG = ChunkerConfig(max_wait_s=0.5)


def make_cutter() -> Cutter:
    return Cutter(Chunker(CONFIG), STARTED_AT_S)


def stream(start_s: float, stop_s: float) -> list[Item]:
    """Sound in frames of 100 ms and two pictures a second, from Unix times."""
    items: list[Item] = []
    for tenth in range(round(start_s * 10), round(stop_s * 10)):
        at_s = STARTED_AT_S + tenth / 10
        items.append(make_sound(at_s, duration_s=0.1))
        if tenth % 5 == 0:
            items.append(make_picture(at_s))
    return items


def test_unix_times_become_stream_times() -> None:
    cutter = make_cutter()

    chunks = cutter.cut(stream(4.0, 6.1), STARTED_AT_S + 6.1)

    assert [chunk.index for chunk in chunks] == [2]
    assert [gap for gap in chunks[0].gaps if gap.start_s >= 4.0] == []
    assert cutter.take_counts() == {("audio", "used"): 21, ("video", "used"): 5}


def test_chunks_close_by_time_without_items() -> None:
    cutter = make_cutter()
    assert cutter.is_idle
    assert cutter.cut(stream(0.0, 1.0), STARTED_AT_S + 1.0) == []
    assert not cutter.is_idle

    [chunk] = cutter.cut([], STARTED_AT_S + 2.5)

    assert chunk.gaps == (Gap("video", 1.0, 1.0), Gap("audio", 1.0, 1.0))
    assert cutter.is_idle


def test_what_a_publisher_sent_is_a_chunk_when_it_is_gone() -> None:
    cutter = make_cutter()

    [chunk] = cutter.cut([*stream(0.0, 1.0), Gone()], STARTED_AT_S + 1.0)

    assert chunk.mel.shape == (128, 100)


def test_a_publisher_that_begins_tells_its_tracks() -> None:
    cutter = make_cutter()
    begin = Begin(has_video=True, has_audio=True, at_s=STARTED_AT_S)
    sounds = [item for item in stream(0.0, 2.1) if isinstance(item, Sound)]

    [chunk] = cutter.cut([begin, *sounds], STARTED_AT_S + 2.5)

    assert chunk.grids == (None, None)


def test_what_cannot_be_converted_is_counted_and_passed_over() -> None:
    def fail() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise ValueError("damaged")

    def fail_too() -> torch.Tensor:
        raise ValueError("damaged")

    cutter = make_cutter()
    broken: list[Item] = [
        Picture(STARTED_AT_S, STARTED_AT_S, fail),
        Sound(STARTED_AT_S, STARTED_AT_S, fail_too),
    ]

    [chunk] = cutter.cut([*broken, *stream(0.0, 2.1)], STARTED_AT_S + 2.1)

    assert chunk.gaps == ()
    counts = cutter.take_counts()
    assert counts["video", "undecodable"] == counts["audio", "undecodable"] == 1
    assert cutter.take_counts() == {}


def test_chunk_shows_its_first_picture() -> None:
    (chunk,) = make_cutter().cut(stream(0.0, 2.1), STARTED_AT_S + 2.6)[:1]

    assert chunk.marks.thumbnail is not None
    assert chunk.marks.thumbnail.startswith(JPEG_START)
    assert chunk.marks.cuts_s == ()


def test_chunk_without_pictures_has_no_thumbnail() -> None:
    items = [item for item in stream(0.0, 2.1) if isinstance(item, Sound)]

    (chunk,) = make_cutter().cut(items, STARTED_AT_S + 2.6)[:1]

    assert chunk.marks.thumbnail is None


def test_thumbnails_can_be_left_out() -> None:
    cutter = Cutter(Chunker(CONFIG), STARTED_AT_S, has_thumbnails=False)

    (chunk,) = cutter.cut(stream(0.0, 2.1), STARTED_AT_S + 2.6)[:1]

    assert chunk.marks.thumbnail is None


def test_a_recording_begins_at_the_edge_of_a_chunk_and_has_a_time_of_its_own() -> None:
    cutter = make_cutter()
    begin = Begin(True, True, STARTED_AT_S + 3.3, is_recorded=True)

    # five seconds of media; the clock says that an hour has passed
    items = [replace(item, at_s=item.at_s + 3.3) for item in stream(0.0, 5.0)]
    chunks = cutter.cut([begin, *items, Gone()], STARTED_AT_S + 3600)

    assert [chunk.index for chunk in chunks] == [2, 3, 4]
    assert [gap for chunk in chunks[:-1] for gap in chunk.gaps if gap.start_s >= 4.0] == []
    assert chunks[0].lead_s == pytest.approx(0.7)
    assert cutter.is_recorded
    assert cutter.recorded_index == 2


def test_the_next_of_several_recordings_goes_on_at_once_however_late_it_is() -> None:
    cutter = make_cutter()
    first = [Begin(True, True, STARTED_AT_S, is_recorded=True), *stream(0.0, 3.0)]
    chunks = cutter.cut(first, STARTED_AT_S + 60)

    later = [replace(item, at_s=item.at_s + 60) for item in stream(0.0, 2.0)]
    begin = Begin(True, True, STARTED_AT_S + 60, is_recorded=True, is_next=True)
    chunks += cutter.cut([begin, *later, Gone()], STARTED_AT_S + 60)

    assert [chunk.index for chunk in chunks] == [0, 1, 2]
    assert cutter.recorded_index == 2


def test_who_comes_after_a_fast_recording_goes_on_from_its_end() -> None:
    cutter = make_cutter()
    begin = Begin(True, True, STARTED_AT_S, is_recorded=True)
    cutter.cut([begin, *stream(0.0, 10.0), Gone()], STARTED_AT_S + 1.0)

    live = [replace(item, at_s=item.at_s + 1.0) for item in stream(0.0, 2.2)]
    [chunk] = cutter.cut([Begin(True, True, STARTED_AT_S + 1.0), *live], STARTED_AT_S + 3.2)

    assert (chunk.index, chunk.gaps, chunk.lead_s) == (5, (), 9.0)
    assert not cutter.is_recorded


def test_a_publisher_that_comes_back_soon_keeps_the_clock() -> None:
    cutter = make_cutter()
    cutter.cut([Begin(True, True, STARTED_AT_S), *stream(0.0, 2.5), Gone()], STARTED_AT_S + 2.5)

    [chunk] = cutter.cut(
        [Begin(True, True, STARTED_AT_S + 3.0), *stream(3.0, 6.2)], STARTED_AT_S + 6.2
    )

    assert (chunk.index, chunk.lead_s) == (2, 0.0)


def test_a_recording_may_hold_its_sound_seconds_after_its_pictures() -> None:
    cutter = make_cutter()
    begin = Begin(True, True, STARTED_AT_S, is_recorded=True)
    late = {Picture: 0.0, Sound: 2.5}
    items = sorted(stream(0.0, 12.0), key=lambda item: item.at_s + late[type(item)])

    chunks = [
        chunk
        for item in [begin, *items, Gone()]
        for chunk in cutter.cut([item], STARTED_AT_S + 3600)
    ]

    assert [chunk.index for chunk in chunks] == [0, 1, 2, 3, 4, 5]
    assert [gap for chunk in chunks for gap in chunk.gaps] == []


def test_who_comes_back_after_a_fast_recording_has_been_away_as_long_as_it_was() -> None:
    cutter = make_cutter()
    begin = Begin(True, True, STARTED_AT_S, is_recorded=True)
    cutter.cut([begin, *stream(0.0, 10.0), Gone()], STARTED_AT_S + 1.0)
    first = [replace(item, at_s=item.at_s + 1.0) for item in stream(0.0, 2.2)]
    cutter.cut([Begin(True, True, STARTED_AT_S + 1.0), *first], STARTED_AT_S + 3.2)

    back = [replace(item, at_s=item.at_s + 7.0) for item in stream(0.0, 2.2)]
    chunks = cutter.cut([Begin(True, True, STARTED_AT_S + 7.0), *back], STARTED_AT_S + 9.2)

    assert [chunk.index for chunk in chunks] == [6, 8]
    assert {chunk.lead_s for chunk in chunks} == {9.0}
    assert sum(gap.duration_s for gap in chunks[-1].gaps if gap.modality == "video") == 2.0
