from collections.abc import Iterable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.omni.mel import StreamingMel
from compressor.omni.patches import check_grid
from service.media.chunk import Gap, MediaChunk
from service.media.chunker import Chunker, ChunkerConfig
from service.media.frames import AudioFrame, VideoFrame
from tests.media import cut_audio, make_audio, make_noise, make_pixels, make_video

CONFIG = ChunkerConfig(min_pixels=28 * 28, max_pixels=4 * 28 * 28, max_wait_s=0.5, stale_s=2.0)
DELAY_S = 0.05  # of every frame, from its time to its arrival


def feed(
    chunker: Chunker, frames: Iterable[VideoFrame | AudioFrame], delay_s: float = DELAY_S
) -> list[MediaChunk]:
    """Give frames to the chunker in the order of their times."""
    chunks = []
    for frame in sorted(frames, key=lambda frame: frame.pts_s):
        add = chunker.add_video if isinstance(frame, VideoFrame) else chunker.add_audio
        chunks += add(frame, frame.pts_s + delay_s)  # type: ignore[operator]  # by the line above
    return chunks


def greys(chunk: MediaChunk) -> list[tuple[int, ...] | None]:
    """The grey of each picture, by grid."""
    return [
        None if grid is None else tuple(int(value) for value in grid[:, 0, 0, 0])
        for grid in chunk.grids
    ]


def offline(samples: torch.Tensor) -> torch.Tensor:
    mel = StreamingMel()
    return torch.cat([mel.push(samples), mel.flush()], dim=1)


def test_a_chunk_takes_the_first_picture_of_every_half_second() -> None:
    chunker = Chunker(CONFIG)

    chunks = feed(chunker, make_video(0, 4.1))

    assert [chunk.index for chunk in chunks] == [0, 1]
    assert [greys(chunk) for chunk in chunks] == [[(0, 5), (10, 15)], [(20, 25), (30, 35)]]
    assert [chunk.gaps for chunk in chunks] == [(), ()]
    for chunk in chunks:
        assert chunk.mel.shape == (128, 0)
        assert chunk.skew_s is None
        for grid in chunk.grids:
            assert grid is not None
            check_grid(grid)
            assert grid.shape == (2, 3, 28, 56)


def test_mel_of_the_chunks_is_that_of_the_whole_recording() -> None:
    samples = make_noise(6.5)
    chunker = Chunker(CONFIG)

    chunks = feed(chunker, cut_audio(samples)) + chunker.flush()

    assert [chunk.mel.shape[1] for chunk in chunks] == [200, 200, 200, 50]
    torch.testing.assert_close(torch.cat([chunk.mel for chunk in chunks], dim=1), offline(samples))
    assert all(chunk.grids == () for chunk in chunks)
    assert [chunk.gaps for chunk in chunks] == [(), (), (), (Gap("audio", 6.5, 1.5),)]


@pytest.mark.parametrize("frame_s", [0.01, 0.0213125, 0.06, 0.5, 3.0])
def test_mel_does_not_depend_on_how_audio_is_cut(frame_s: float) -> None:
    samples = make_noise(4.1)
    chunker = Chunker(CONFIG)

    chunks = feed(chunker, cut_audio(samples, frame_s=frame_s))

    torch.testing.assert_close(
        torch.cat([chunk.mel for chunk in chunks], dim=1), offline(samples)[:, :400]
    )


def test_times_that_jitter_by_less_than_a_hop_do_not_break_the_audio() -> None:
    samples = make_noise(4.1)
    frames = [
        AudioFrame(frame.pts_s + 0.004 * (number % 3 - 1) * (number > 0), frame.samples)
        for number, frame in enumerate(cut_audio(samples))
    ]

    chunks = feed(Chunker(CONFIG), frames)

    assert [chunk.gaps for chunk in chunks] == [(), ()]
    torch.testing.assert_close(
        torch.cat([chunk.mel for chunk in chunks], dim=1), offline(samples)[:, :400]
    )


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


@pytest.mark.parametrize(
    ("pts_s", "expected", "gaps"),
    [
        ([0.0, 0.5, 1.0, 1.5], [(0, 1), (2, 3)], ()),
        ([0.3, 0.6, 1.4, 1.9], [(0, 1), (2, 3)], ()),
        ([0.1, 0.2, 1.1, 1.6], [(0, 0), (2, 3)], (Gap("video", 0.5, 0.5),)),
        ([0.5, 1.0], [(0, 0), (1, 1)], (Gap("video", 0.0, 0.5), Gap("video", 1.5, 0.5))),
        ([0.0, 0.5], [(0, 1), None], (Gap("video", 1.0, 1.0),)),
        ([1.7], [None, (0, 0)], (Gap("video", 0.0, 1.5),)),
        ([0.2, 0.1, 0.6, 1.0, 1.5], [(1, 2), (3, 4)], ()),
        ([1.5, 1.0, 0.5, 0.0], [(3, 2), (1, 0)], ()),
    ],
    ids=[
        "regular",
        "anywhere in the slots",
        "second slot empty",
        "outer slots empty",
        "second grid empty",
        "one picture",
        "reordered within a slot",
        "reordered across slots",
    ],
)
def test_pictures_in_grids_out(
    pts_s: list[float], expected: list[tuple[int, int] | None], gaps: tuple[Gap, ...]
) -> None:
    chunker = Chunker(CONFIG)
    for number, time_s in enumerate(pts_s):
        assert chunker.add_video(VideoFrame(time_s, make_pixels(number)), 2.0) == []

    [chunk] = chunker.add_video(VideoFrame(2.0, make_pixels(99)), 2.1)

    assert greys(chunk) == expected
    assert chunk.gaps == gaps


@pytest.mark.parametrize(
    ("heard", "num_mel", "gaps"),
    [
        ([(0.0, 2.1)], 200, ()),
        ([(0.0, 0.5), (0.7, 2.1)], 200, (Gap("audio", 0.5, 0.2),)),
        ([(0.08, 2.1)], 200, (Gap("audio", 0.0, 0.08),)),
        ([(0.0, 1.5)], 200, (Gap("audio", 1.5, 0.5),)),
        ([(0.0, 0.02)], 0, (Gap("audio", 0.0, 2.0),)),
        ([(2.0, 2.1)], 0, (Gap("audio", 0.0, 2.0),)),
    ],
    ids=["whole", "hole", "late start", "early end", "less than a token", "none"],
)
def test_samples_in_mel_and_gaps_out(
    heard: list[tuple[float, float]], num_mel: int, gaps: tuple[Gap, ...]
) -> None:
    chunker = Chunker(CONFIG)
    chunker.declare(video=True, audio=True, now_s=0.0)
    frames = [frame for start_s, stop_s in heard for frame in make_audio(start_s, stop_s)]

    first = (feed(chunker, [*make_video(0, 2.4), *frames]) + chunker.poll(2.5))[0]

    assert first.mel.shape == (128, num_mel)
    assert tuple(gap for gap in first.gaps if gap.modality == "audio") == pytest.approx(gaps)


def test_a_hole_is_filled_with_silence_and_leaves_the_rest_in_place() -> None:
    samples = make_noise(2.1)
    silenced = samples.clone()
    silenced[8000:11_200] = 0.0
    frames = [frame for frame in cut_audio(samples) if not 0.499 < frame.pts_s < 0.699]

    [chunk] = feed(Chunker(CONFIG), frames)

    torch.testing.assert_close(chunk.mel, offline(silenced)[:, :200])


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


def test_a_resolution_that_changes_gives_grids_of_different_sizes() -> None:
    frames = make_video(0, 1.0) + make_video(1.0, 2.1, height=112, width=56)

    [chunk] = feed(Chunker(CONFIG), frames)

    assert [tuple(grid.shape) for grid in chunk.grids if grid is not None] == [
        (2, 3, 28, 56),
        (2, 3, 56, 28),
    ]


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


def test_chunks_do_not_share_memory_with_frames() -> None:
    pixels = make_pixels(50, 28, 28)
    chunker = Chunker(CONFIG)
    chunker.add_video(VideoFrame(0.0, pixels), 0.0)
    pixels[:] = 0

    [chunk] = chunker.flush()

    assert greys(chunk)[0] == (50, 50)


@settings(max_examples=40, deadline=None)
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
