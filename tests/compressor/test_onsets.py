import pytest
import torch

from compressor.onsets import sound_onsets
from compressor.tokens import CompressedChunk, TokenCounts

NUM_VIDEO = 8


def chunk(
    heard: dict[int, float], *, start_s: float = 4.0, num_video: int = NUM_VIDEO
) -> CompressedChunk:
    """Video, and audio tokens by index with their scores."""
    kept = [*range(num_video), *(num_video + index for index in heard)]
    num_audio = len(heard)
    return CompressedChunk(
        embeddings=torch.zeros(len(kept), 4),
        positions=torch.zeros(3, len(kept), dtype=torch.int64),
        modality=torch.tensor([0] * num_video + [1] * num_audio, dtype=torch.uint8),
        scores=torch.tensor([1.0] * num_video + list(heard.values())),
        kept=torch.tensor(kept, dtype=torch.int64),
        start_s=start_s,
        next_position=1000,
        counts_in=TokenCounts(num_video, 50),
        counts_kept=TokenCounts(num_video, num_audio),
    )


def test_sound_begins_after_silence() -> None:
    scores = {5: 0.9, 6: 0.8, 7: 0.1, 10: 0.7, 25: 0.6, 40: 0.2}

    onsets_s, heard_until_s = sound_onsets(chunk(scores), 0.5, 0.0)

    assert onsets_s == pytest.approx((4.2, 5.0))  # token 10 is too soon after 6
    assert heard_until_s == pytest.approx(5.04)


def test_sound_that_goes_on_from_the_last_chunk_does_not_begin_again() -> None:
    assert sound_onsets(chunk({0: 0.9}), 0.5, 4.0)[0] == ()
    assert sound_onsets(chunk({0: 0.9}), 0.5, 3.8)[0] == (4.0,)


@pytest.mark.parametrize(("quiet_score", "num_video"), [(0.0, NUM_VIDEO), (0.5, 0)])
def test_nothing_begins_where_scores_mean_nothing(quiet_score: float, num_video: int) -> None:
    assert sound_onsets(chunk({9: 1.0}, num_video=num_video), quiet_score, 1.0) == ((), 1.0)
