import torch

from compressor.baselines.baseline import Baseline, Kept
from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.tokens import TokenChunk
from compressor.video import StreamState
from tests.tensors import HIDDEN_SIZE, make_token_chunk

CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5)


class KeepLast(Baseline):
    """Keeps the last token of each modality and remembers the last grid."""

    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        tokens = torch.cat(chunk.grids)
        return Kept.rows(tokens, torch.tensor([len(tokens) - 1]))

    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        assert num_keep == 5
        assert video.index.tolist() == [23]
        return Kept.rows(chunk.audio, torch.tensor([9]), torch.arange(10))

    def advance(self, chunk: TokenChunk, state: StreamState) -> StreamState:
        return self.remember(chunk, chunk.grids[-1], num_chunks=state.chunks_since_refresh + 1)


def test_choices_of_a_method_become_a_compressed_chunk() -> None:
    chunk = make_token_chunk(start_s=4.0)

    result, state = KeepLast(CONFIG).compress(chunk)

    assert result.kept.tolist() == [23, 33]
    assert result.scores.tolist() == [1.0, 9.0]
    assert torch.equal(result.embeddings, torch.stack([chunk.grids[1][-1], chunk.audio[-1]]))
    assert state.grid is not None
    assert torch.equal(state.grid, chunk.grids[1])
    assert (state.end_s, state.chunks_since_refresh) == (6.0, 1)


def test_duration_of_a_grid_is_the_configured_one() -> None:
    config = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5, CrossChunkConfig(grid_s=0.5))

    _, state = KeepLast(config).compress(make_token_chunk())

    assert state.end_s == 1.0


def test_starts_in_eval_mode() -> None:
    assert not KeepLast(CONFIG).training
