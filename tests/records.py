"""Small chunk records with a chosen size, the same for the same index."""

import torch

from compressor.tokens import CompressedChunk, TokenCounts
from service.media.chunk import CHUNK_S, Gap
from service.sessions.record import ChunkRecord


def make_record(
    index: int,
    *,
    follows: int | None = None,
    num_video: int = 3,
    num_audio: int = 2,
    hidden_size: int = 8,
    dtype: torch.dtype = torch.float32,
) -> ChunkRecord:
    """A record that keeps every second token of its chunk; follows `index - 1` unless told."""
    generator = torch.Generator().manual_seed(index)
    num_kept = num_video + num_audio
    start = int(index * CHUNK_S * 25)
    compressed = CompressedChunk(
        embeddings=torch.randn(num_kept, hidden_size, generator=generator).to(dtype),
        positions=start + torch.arange(num_kept).repeat(3, 1),
        modality=torch.tensor([0] * num_video + [1] * num_audio, dtype=torch.uint8),
        scores=torch.rand(num_kept, generator=generator),
        kept=2 * torch.arange(num_kept),
        start_s=index * CHUNK_S,
        next_position=start + 2 * num_kept,
        counts_in=TokenCounts(2 * num_video, 2 * num_audio),
        counts_kept=TokenCounts(num_video, num_audio),
    )
    return ChunkRecord(
        index=index,
        follows=index - 1 if follows is None else follows,
        compressed=compressed,
        grid_sizes=((1, num_video), (1, num_video)),
        gaps=(Gap("audio", index * CHUNK_S, 0.5),),
    )


def assert_same_record(actual: ChunkRecord, expected: ChunkRecord) -> None:
    """Equal in every field, tensors bit for bit and in dtype."""
    assert (actual.index, actual.follows) == (expected.index, expected.follows)
    assert (actual.grid_sizes, actual.gaps) == (expected.grid_sizes, expected.gaps)
    for name in CompressedChunk.__dataclass_fields__:
        got, wanted = getattr(actual.compressed, name), getattr(expected.compressed, name)
        if isinstance(wanted, torch.Tensor):
            assert got.dtype == wanted.dtype, name
            assert torch.equal(got, wanted), name
        else:
            assert got == wanted, name
