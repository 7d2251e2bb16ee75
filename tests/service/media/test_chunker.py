import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.media.chunk import Gap, MediaChunk
from service.media.chunker import Chunker, ChunkerConfig
from service.media.frames import AudioFrame, VideoFrame
from tests.media import cut_audio, make_audio, make_noise, make_pixels, make_video
from tests.service.media.arrivals import CONFIG, feed, greys, offline


def test_a_chunk_closes_when_both_tracks_have_passed_its_end() -> None:
    chunker = Chunker(CONFIG)
    before = feed(chunker, [*make_video(0, 2.5), *make_audio(0, 1.9)])

    at_end = feed(chunker, cut_audio(make_noise(0.1), 1.9))
    beyond = feed(chunker, cut_audio(make_noise(0.02), 2.0))

    assert (before, at_end) == ([], [])
    assert [chunk.index for chunk in beyond] == [0]
    assert beyond[0].gaps == ()


def test_a_chunk_is_not_held_longer_than_the_longest_wait() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, [*make_video(0, 2.3), *make_audio(0, 1.0)])

    assert chunker.poll(2.499) == []
    [chunk] = chunker.poll(2.5)

    assert chunk.mel.shape == (128, 200)
    assert chunk.gaps == (Gap("audio", 1.0, 1.0),)


def test_a_track_that_fell_silent_is_not_waited_for() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, [*make_video(0, 1.0), *make_audio(0, 3.5)], delay_s=0.0)
    chunker.poll(2.5)

    chunks = feed(chunker, cut_audio(make_noise(0.6), 3.5), delay_s=0.0)

    # at the first samples beyond 4 s, not at 4.5 s
    assert [chunk.index for chunk in chunks] == [1]
    assert chunks[0].grids == (None, None)
    assert chunks[0].gaps == (Gap("video", 2.0, 2.0),)


def test_a_declared_track_that_never_comes_is_a_gap() -> None:
    chunker = Chunker(CONFIG)
    chunker.declare(video=True, audio=True, now_s=0.0)

    chunks = feed(chunker, make_audio(0, 4.6)) + chunker.poll(5.0)

    assert [chunk.grids for chunk in chunks] == [(None, None), (None, None)]
    assert [chunk.gaps for chunk in chunks] == [
        (Gap("video", 0.0, 2.0),),
        (Gap("video", 2.0, 2.0),),
    ]


def test_a_track_that_is_not_there_is_no_gap() -> None:
    chunker = Chunker(CONFIG)
    chunker.declare(video=False, audio=True, now_s=0.0)

    [chunk] = feed(chunker, make_audio(0, 2.1))

    assert chunk.grids == ()
    assert chunk.gaps == ()


def test_a_track_may_be_discovered_on_the_way() -> None:
    chunks = feed(Chunker(CONFIG), [*make_video(0, 6.1), *make_audio(2.5, 6.1)])

    assert [chunk.mel.shape[1] for chunk in chunks] == [0, 200, 200]
    assert [chunk.gaps for chunk in chunks] == [
        (),
        (Gap("audio", 2.0, 0.5),),
        (),
    ]


def test_chunks_without_media_are_skipped_and_part_of_the_next_gap() -> None:
    chunker = Chunker(CONFIG)
    chunks = feed(chunker, [*make_video(0, 2.1), *make_audio(0, 2.1)])

    chunks += chunker.poll(5.0)
    chunks += feed(chunker, [*make_video(9.0, 12.1), *make_audio(8.5, 12.1)])

    assert [chunk.index for chunk in chunks] == [0, 1, 4, 5]
    assert chunks[2].gaps == (Gap("video", 4.0, 5.0), Gap("audio", 4.0, 4.5))
    assert chunks[3].gaps == ()


def test_late_frames_are_counted_and_left_out() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, [*make_video(0, 2.6), *make_audio(0, 2.6)])
    chunker.take_counts()

    chunks = feed(chunker, [VideoFrame(1.2, make_pixels(1)), *make_audio(1.0, 1.1)], delay_s=2.0)
    chunks += feed(chunker, [VideoFrame(-0.5, make_pixels(1))], delay_s=3.0)

    assert chunks == []
    assert chunker.take_counts() == {("video", "late"): 2, ("audio", "late"): 5}


def test_frames_are_counted_by_what_became_of_them() -> None:
    chunker = Chunker(CONFIG)
    thin = VideoFrame(0.5, make_pixels(0, 1, 1000))

    feed(chunker, [*make_video(0, 0.5), thin, *make_audio(0, 0.1), AudioFrame(0.1, torch.zeros(0))])

    assert chunker.take_counts() == {
        ("video", "used"): 1,
        ("video", "skipped"): 4,
        ("video", "undecodable"): 1,
        ("audio", "used"): 5,
    }
    assert chunker.take_counts() == {}


def test_flush_gives_what_there_is_and_audio_ends_where_it_ends() -> None:
    samples = make_noise(3.3)
    chunker = Chunker(CONFIG)
    feed(chunker, [*make_video(0, 3.3), *cut_audio(samples)])

    [chunk] = chunker.flush()

    assert chunk.index == 1
    assert greys(chunk) == [(20, 25), (30, 30)]
    assert chunk.mel.shape == (128, 130)
    torch.testing.assert_close(chunk.mel, offline(samples)[:, 200:])
    assert chunk.gaps == (Gap("audio", 3.3, 0.7), Gap("video", 3.5, 0.5))
    assert chunker.flush() == []


def test_flush_gives_no_chunk_of_a_few_samples() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, make_audio(0, 2.02))

    assert chunker.flush() == []


def test_a_publisher_that_comes_back_goes_on_with_the_next_chunk() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, make_audio(0, 3.0))
    chunker.flush()

    chunks = feed(chunker, make_audio(3.5, 8.1))

    assert [chunk.index for chunk in chunks] == [2, 3]
    assert chunks[0].gaps == ()
    assert chunker.take_counts()["audio", "late"] == 25


def test_nothing_of_a_publisher_that_left_is_waited_for() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, [*make_video(0, 2.9), *make_audio(0, 2.9)])
    chunker.flush()

    chunks = feed(chunker, make_audio(4.0, 6.02))

    assert [chunk.index for chunk in chunks] == [2]


def test_a_chunker_that_takes_over_goes_on_after_the_last_chunk() -> None:
    chunker = Chunker(CONFIG, after_index=4)

    chunks = feed(chunker, make_audio(9.0, 18.1)[50 * 4 :] + make_audio(9.0, 9.5))

    assert [chunk.index for chunk in chunks] == [6, 7, 8]
    assert chunks[0].gaps == (Gap("audio", 10.0, 3.0),)
    assert chunker.take_counts()["audio", "late"] == 25


def test_skew_is_how_much_later_audio_arrives_than_video() -> None:
    chunker = Chunker(CONFIG)
    feed(chunker, make_video(0, 2.0), delay_s=0.1)
    feed(chunker, make_audio(0, 2.1), delay_s=0.03)

    [chunk] = chunker.poll(2.6)

    assert chunk.skew_s == pytest.approx(-0.07)


def test_memory_is_bounded_when_one_track_runs_ahead() -> None:
    chunker = Chunker(ChunkerConfig(max_open_chunks=3))
    chunker.declare(video=True, audio=True, now_s=0.0)

    indices = [
        chunk.index
        for frame in make_video(0, 20.0, fps=2)
        for chunk in chunker.add_video(frame, now_s=0.0)
    ]

    assert indices == [0, 1, 2, 3, 4, 5, 6]
    assert chunker.num_open == 3


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-5, 200), st.integers(0, 20)), min_size=1, max_size=60
    )
)
def test_whatever_arrives_chunks_ascend_and_tell_what_they_lack(
    arrivals: list[tuple[bool, int, int]],
) -> None:
    chunker = Chunker(CONFIG)
    chunks: list[MediaChunk] = []
    for is_video, tenths, delay_tenths in arrivals:
        pts_s, now_s = tenths / 10, (tenths + delay_tenths) / 10
        if is_video:
            chunks += chunker.add_video(VideoFrame(pts_s, make_pixels(1)), now_s)
        else:
            chunks += chunker.add_audio(AudioFrame(pts_s, torch.ones(1600)), now_s)
        assert chunker.num_open <= CONFIG.max_open_chunks
    chunks += chunker.flush()

    indices = [chunk.index for chunk in chunks]
    assert indices == sorted(set(indices))
    assert sum(chunker.take_counts().values()) == len(arrivals)
    for chunk in chunks:
        assert chunk.mel.shape[1] <= 200
        assert chunk.mel.shape[1] > 0 or any(grid is not None for grid in chunk.grids)
        missing = [gap for gap in chunk.gaps if gap.modality == "video"]
        for number, grid in enumerate(chunk.grids):
            middle_s = chunk.start_s + number + 0.5
            is_told = any(g.start_s < middle_s < g.start_s + g.duration_s for g in missing)
            assert (grid is None) == is_told
