import dataclasses

import pytest
import torch
from torch import Tensor

from compressor.tokens import Modality, TokenChunk, TokenCounts
from tests.tensors import make_token_chunk

VIDEO = torch.zeros(2, 3, 8)
AUDIO = torch.zeros(5, 8)
POSITIONS = torch.zeros(3, 11, dtype=torch.int64)


def test_grids_and_counts_of_equal_grids() -> None:
    chunk = TokenChunk(VIDEO, AUDIO, POSITIONS, 0.0)

    assert [tuple(grid.shape) for grid in chunk.grids] == [(3, 8), (3, 8)]
    assert chunk.counts == TokenCounts(video=6, audio=5)
    assert (chunk.num_tokens, chunk.hidden_size) == (11, 8)


def test_grids_of_unequal_size_are_a_tuple() -> None:
    chunk = make_token_chunk(grid_sizes=(4, 7), num_audio=3)

    assert [len(grid) for grid in chunk.grids] == [4, 7]
    assert chunk.counts == TokenCounts(video=11, audio=3)


def test_grids_are_views_of_the_video() -> None:
    chunk = make_token_chunk()

    assert isinstance(chunk.video, Tensor)
    assert chunk.grids[1].data_ptr() == chunk.video[1].data_ptr()


@pytest.mark.parametrize("video", [torch.zeros(0, 3, 8), torch.zeros(0, 0, 8), ()])
def test_chunk_without_video_is_valid(video: Tensor | tuple[Tensor, ...]) -> None:
    chunk = TokenChunk(video, AUDIO, POSITIONS[:, :5], 0.0)

    assert chunk.grids == ()
    assert chunk.counts == TokenCounts(video=0, audio=5)


def test_chunk_without_any_token_is_valid() -> None:
    chunk = TokenChunk((), AUDIO[:0], POSITIONS[:, :0], 0.0)

    assert (chunk.num_tokens, chunk.hidden_size) == (0, 8)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"video": torch.zeros(3, 8)}, r"video must be \[T, P, D\], got \[3, 8\]"),
        ({"video": torch.zeros(2, 3, 9)}, "D=9, audio has D=8"),
        ({"video": torch.zeros(0, 3, 9)}, "D=9, audio has D=8"),
        ({"video": torch.zeros(2, 0, 8)}, r"grid 0 .* got \[0, 8\]"),
        ({"video": (torch.zeros(3, 8), torch.zeros(3, 1, 8))}, r"grid 1 .* got \[3, 1, 8\]"),
        ({"video": VIDEO.to(torch.bfloat16)}, "torch.bfloat16 on cpu, audio is torch.float32"),
        ({"video": VIDEO.to("meta")}, "on meta, audio is torch.float32 on cpu"),
        ({"audio": torch.zeros(8)}, r"audio must be \[A, D\], got \[8\]"),
        ({"audio": torch.zeros(5, 8, dtype=torch.int64)}, "audio is torch.int64"),
        ({"positions": POSITIONS[:, :10]}, r"N=11 tokens, got \[3, 10\]"),
        ({"positions": POSITIONS.T}, r"got \[11, 3\]"),
        ({"positions": POSITIONS.int()}, "got torch.int32"),
        ({"positions": POSITIONS.to("meta")}, "positions are on meta, embeddings on cpu"),
    ],
)
def test_wrong_shape_or_dtype_is_refused_and_named(changes: dict[str, Tensor], seen: str) -> None:
    fields = {"video": VIDEO, "audio": AUDIO, "positions": POSITIONS, "start_s": 0.0}

    with pytest.raises(ValueError, match=seen):
        TokenChunk(**(fields | changes))  # type: ignore[arg-type]  # wrong on purpose


def test_values_are_not_read() -> None:
    TokenChunk(VIDEO.to("meta"), AUDIO.to("meta"), POSITIONS, 0.0)


def test_chunk_cannot_be_changed() -> None:
    chunk = make_token_chunk()

    with pytest.raises(dataclasses.FrozenInstanceError):
        chunk.start_s = 1.0  # type: ignore[misc]  # wrong on purpose


def test_modality_values_are_the_stored_ones() -> None:
    assert (int(Modality.VIDEO), int(Modality.AUDIO)) == (0, 1)


def test_total_adds_modalities() -> None:
    assert TokenCounts(video=3, audio=4).total == 7
