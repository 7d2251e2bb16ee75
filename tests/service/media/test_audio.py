from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.media.audio import SAMPLES_PER_CHUNK, SNAP_SAMPLES, AudioTrack
from service.media.frames import AUDIO_SAMPLE_RATE_HZ


def ramp(start: int, stop: int) -> torch.Tensor:
    return torch.arange(start, stop, dtype=torch.float32)


def test_what_is_written_is_read_back_across_chunks() -> None:
    track = AudioTrack()
    start = SAMPLES_PER_CHUNK - 100

    taken = track.write(start / AUDIO_SAMPLE_RATE_HZ, ramp(0, 300))

    assert taken == range(start, start + 300)
    assert torch.equal(track.read(start, start + 300), ramp(0, 300))
    assert track.holes(1) == [range(SAMPLES_PER_CHUNK + 200, 2 * SAMPLES_PER_CHUNK)]


def test_holes_are_runs_and_read_as_zero() -> None:
    track = AudioTrack()
    track.write(0.1, torch.ones(1600))
    track.write(0.5, torch.ones(SAMPLES_PER_CHUNK - 8000))

    assert track.holes(0) == [range(1600), range(3200, 8000)]
    assert track.read(0, 3300).sum() == 1600


def test_a_chunk_without_samples_is_one_hole() -> None:
    assert AudioTrack().holes(2) == [range(2 * SAMPLES_PER_CHUNK, 3 * SAMPLES_PER_CHUNK)]


def test_times_that_jitter_leave_no_hole() -> None:
    track = AudioTrack()
    track.write(0.0, ramp(0, 320))

    assert track.write(0.02 + SNAP_SAMPLES / AUDIO_SAMPLE_RATE_HZ, ramp(320, 640)).start == 320
    assert track.write(0.04 - 0.005, ramp(640, 960)).start == 640
    assert torch.equal(track.read(0, 960), ramp(0, 960))


def test_a_lost_packet_leaves_a_hole() -> None:
    track = AudioTrack()
    track.write(0.0, torch.ones(320))
    track.write(0.04, torch.ones(320))

    assert track.holes(0)[0] == range(320, 640)


def test_reordered_runs_fill_their_holes() -> None:
    track = AudioTrack()
    for number in (0, 2, 1, 3):
        track.write(number * 0.02, ramp(number * 320, number * 320 + 320))

    assert torch.equal(track.read(0, 1280), ramp(0, 1280))


def test_the_first_of_two_overlapping_runs_stays() -> None:
    track = AudioTrack()
    track.write(0.0, torch.ones(1000))

    track.write(500 / AUDIO_SAMPLE_RATE_HZ, 2 * torch.ones(1000))

    assert torch.equal(track.read(998, 1002), torch.tensor([1.0, 1.0, 2.0, 2.0]))


def test_what_comes_after_the_floor_was_raised_is_left_out() -> None:
    track = AudioTrack()
    track.forget(SAMPLES_PER_CHUNK)

    assert not track.write(1.0, torch.ones(320))
    assert track.write(1.99, torch.ones(320)) == range(SAMPLES_PER_CHUNK, SAMPLES_PER_CHUNK + 160)
    assert not track.write(-0.01, torch.ones(160))


def test_forgetting_frees_blocks() -> None:
    track = AudioTrack()
    track.write(0.0, torch.ones(10 * SAMPLES_PER_CHUNK))

    track.forget(9 * SAMPLES_PER_CHUNK)

    assert list(track._blocks) == [9]


def test_zero_samples_change_nothing() -> None:
    track = AudioTrack()
    track.write(0.0, torch.ones(320))

    assert not track.write(0.02, torch.ones(0))
    assert track.end == 320


@settings(max_examples=30)
@given(st.permutations(range(12)), st.sets(st.integers(1, 11)))
def test_runs_of_any_length_in_any_order_make_the_signal(order: list[int], cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), 12]
    runs = [(3200 * a, 3200 * b) for a, b in pairwise(edges)]
    track = AudioTrack()

    for number in order:
        if number < len(runs):
            start, stop = runs[number]
            track.write(start / AUDIO_SAMPLE_RATE_HZ, ramp(start, stop))

    assert torch.equal(track.read(0, 12 * 3200), ramp(0, 12 * 3200))
