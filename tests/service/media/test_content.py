import pytest
import torch

from compressor.omni.patches import check_grid
from service.media.chunk import Gap
from service.media.chunker import Chunker
from service.media.frames import AudioFrame, VideoFrame
from tests.media import cut_audio, make_audio, make_noise, make_pixels, make_video
from tests.service.media.arrivals import CONFIG, feed, greys, offline


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


def test_a_resolution_that_changes_gives_grids_of_different_sizes() -> None:
    frames = make_video(0, 1.0) + make_video(1.0, 2.1, height=112, width=56)

    [chunk] = feed(Chunker(CONFIG), frames)

    assert [tuple(grid.shape) for grid in chunk.grids if grid is not None] == [
        (2, 3, 28, 56),
        (2, 3, 56, 28),
    ]


def test_chunks_do_not_share_memory_with_frames() -> None:
    pixels = make_pixels(50, 28, 28)
    chunker = Chunker(CONFIG)
    chunker.add_video(VideoFrame(0.0, pixels), 0.0)
    pixels[:] = 0

    [chunk] = chunker.flush()

    assert greys(chunk)[0] == (50, 50)
