import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import WhisperFeatureExtractor

from compressor.omni.mel import StreamingMel, mel_filters

UPSTREAM = WhisperFeatureExtractor(feature_size=128, chunk_length=300)


def offline(samples: Tensor) -> Tensor:
    """What transformers makes of the whole recording: `[128, F]`."""
    features = UPSTREAM(
        samples.numpy(),
        sampling_rate=16_000,
        padding="longest",
        truncation=False,
        return_attention_mask=True,
        return_tensors="pt",
    )
    return features["input_features"][0, :, : int(features["attention_mask"].sum())]


def streamed(samples: Tensor, sizes: list[int], mel: StreamingMel | None = None) -> Tensor:
    """Push pieces of these sizes, then what is left, and flush."""
    mel = mel or StreamingMel()
    frames, start = [], 0
    for size in sizes:
        frames.append(mel.push(samples[start : start + size]))
        start += size
    return torch.cat([*frames, mel.push(samples[start:]), mel.flush()], dim=1)


def assert_as_offline(frames: Tensor, samples: Tensor) -> None:
    """Equal but for the floor, which offline knows from the start and a stream only later."""
    expected = offline(samples)
    floor = expected.max() - 2.0  # 8 decades, in the units of the features
    torch.testing.assert_close(frames.maximum(floor), expected, rtol=0, atol=1e-5)


def loud(seconds: float, seed: int = 0) -> Tensor:
    """White noise: no value is 80 dB below another."""
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(int(seconds * 16_000), generator=generator)


def speech_like(seconds: float, seed: int = 0) -> Tensor:
    """Noise whose loudness goes up and down by 50 dB, quiet first."""
    noise = loud(seconds, seed)
    return noise * (0.003 + torch.sin(torch.arange(len(noise)) / 3000.0).clamp(min=0))


def test_filters_are_those_of_whisper() -> None:
    assert torch.equal(mel_filters(), torch.from_numpy(UPSTREAM.mel_filters).float())


@pytest.mark.parametrize("size", [32_000, 16_000, 960, 480, 333, 161])
def test_frames_equal_offline_whatever_the_pushes(size: int) -> None:
    samples = speech_like(4.321)

    frames = streamed(samples, [size] * (len(samples) // size))

    assert frames.shape == (128, len(samples) // 160)
    assert_as_offline(frames, samples)


def test_frames_equal_offline_exactly_where_nothing_is_far_below_the_loudest() -> None:
    samples = loud(3.0)

    torch.testing.assert_close(streamed(samples, [777] * 60), offline(samples), rtol=0, atol=1e-5)


@settings(max_examples=50)
@given(
    num_samples=st.integers(201, 6000),
    sizes=st.lists(st.integers(0, 2000), max_size=12),
    seed=st.integers(0, 5),
)
def test_frames_equal_offline_in_odd_pushes(num_samples: int, sizes: list[int], seed: int) -> None:
    samples = loud(1.0, seed)[:num_samples]

    assert_as_offline(streamed(samples, sizes), samples)


def test_frame_comes_with_the_last_sample_it_sees() -> None:
    mel, samples = StreamingMel(), speech_like(1.0)

    # frame 0 needs the samples up to 200, frame 1 up to 360
    counts = [mel.push(samples[:200]).shape[1], mel.push(samples[200:201]).shape[1]]
    counts += [mel.push(samples[201:359]).shape[1], mel.push(samples[359:360]).shape[1]]

    assert counts == [0, 1, 0, 1]


def test_two_seconds_close_with_a_look_ahead() -> None:
    mel, samples = StreamingMel(), speech_like(2.1)

    before = mel.push(samples[:32_000]).shape[1]
    after = mel.push(samples[32_000 : 32_000 + 40]).shape[1]

    # frame 199 is centred on sample 31840
    assert (before, before + after) == (199, 200)


def test_floor_follows_the_loudest_so_far() -> None:
    samples = torch.cat([loud(1.0), torch.zeros(16_000)])

    torch.testing.assert_close(streamed(samples, [700] * 40), offline(samples), rtol=0, atol=1e-5)


def test_floor_before_the_first_sound_is_that_of_the_assumed_peak() -> None:
    samples = torch.cat([torch.zeros(16_000), loud(1.0)])

    frames = streamed(samples, [16_000])

    assert (frames[:, :90] == -1.0).all()  # (0 - 8 + 4) / 4
    assert (offline(samples)[:, :90] > -1.0).all()
    torch.testing.assert_close(frames[:, 105:], offline(samples)[:, 105:], rtol=0, atol=1e-5)


def test_assumed_peak_is_a_choice() -> None:
    frames = streamed(torch.zeros(3200), [], StreamingMel(peak=2.0))

    assert (frames == -0.5).all()


def test_reset_starts_over_but_remembers_the_loudest() -> None:
    mel, quiet = StreamingMel(), 1e-6 * loud(1.0, seed=1)
    mel.push(loud(1.0))

    mel.reset()
    frames = torch.cat([mel.push(quiet), mel.flush()], dim=1)

    fresh = streamed(quiet, [])
    assert frames.shape == (128, 100)
    # the floor of the loud part hides what an own start would show
    assert frames.min() > fresh.min()
    assert frames.std() < 1e-6


def test_zeros_in_place_of_a_gap_keep_frames_aligned() -> None:
    samples = loud(3.0)
    with_gap = samples.clone()
    with_gap[10_000:20_000] = 0.0

    frames = streamed(with_gap, [10_000, 10_000])

    assert_as_offline(frames, with_gap)
    floor = frames.max() - 2.0
    untouched = streamed(samples, [])[:, 130:].maximum(floor)
    torch.testing.assert_close(frames[:, 130:].maximum(floor), untouched, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_samples", [0, 1, 200])
def test_too_little_to_mirror_makes_no_frame(num_samples: int) -> None:
    assert streamed(torch.zeros(num_samples), []).shape == (128, 0)


def test_flushed_stream_can_be_used_again() -> None:
    mel, samples = StreamingMel(), loud(1.0)

    first, second = streamed(samples, [5000], mel), streamed(samples, [5000], mel)

    assert torch.equal(first, second)


def test_input_is_not_modified() -> None:
    samples = speech_like(1.0)
    before = samples.clone()

    StreamingMel().push(samples)

    assert torch.equal(samples, before)


@pytest.mark.parametrize(
    "samples",
    [torch.zeros(2, 100), torch.zeros(100, dtype=torch.float64), torch.zeros(9, dtype=torch.int16)],
)
def test_wrong_samples_are_named(samples: Tensor) -> None:
    with pytest.raises(ValueError, match=r"samples must be \[S\] float32"):
        StreamingMel().push(samples)


def test_history_kept_is_bounded() -> None:
    mel = StreamingMel()

    for _ in range(50):
        mel.push(torch.from_numpy(np.zeros(3333, dtype=np.float32)))

    assert mel._pending.untyped_storage().nbytes() <= 4 * 560
