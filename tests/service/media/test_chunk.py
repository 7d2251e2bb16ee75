import pickle

import pytest
import torch

from service.media.chunk import CHUNK_S, Gap, MediaChunk


def test_chunk_spans_two_seconds_of_stream_time() -> None:
    chunk = MediaChunk(index=3, grids=(), mel=torch.zeros(128, 0))

    assert (chunk.start_s, chunk.end_s) == (6.0, 8.0)
    assert chunk.end_s - chunk.start_s == CHUNK_S


@pytest.mark.parametrize("size", [28, 56])
def test_chunk_survives_a_process_border(size: int) -> None:
    grid = torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8)
    chunk = MediaChunk(0, (grid, None), torch.randn(128, 200), (Gap("video", 1.0, 1.0),), 0.02)

    copy = pickle.loads(pickle.dumps(chunk))

    assert copy.gaps == chunk.gaps
    assert torch.equal(copy.grids[0], grid)
    assert copy.grids[1] is None
    assert torch.equal(copy.mel, chunk.mel)
