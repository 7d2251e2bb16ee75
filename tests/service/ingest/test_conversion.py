import av
import numpy as np
import pytest

from service.ingest.conversion import Resampler, to_rgb


def test_sound_in_another_format_costs_only_itself() -> None:
    resampler = Resampler()
    stereo = av.AudioFrame.from_ndarray(
        np.zeros((1, 1920), dtype=np.int16), format="s16", layout="stereo"
    )
    stereo.sample_rate = 48_000
    mono = av.AudioFrame.from_ndarray(
        np.zeros((1, 160), dtype=np.int16), format="s16", layout="mono"
    )
    mono.sample_rate = 8_000

    before = [len(resampler.resample(stereo)) for _ in range(2)]
    with pytest.raises(ValueError, match="cannot be resampled"):
        resampler.resample(mono)
    after = [len(resampler.resample(mono)) for _ in range(2)]

    assert before == [304, 320]
    assert after[1] == 320


def test_a_damaged_picture_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be converted"):
        to_rgb(av.VideoFrame(0, 0, "yuv420p"))
