from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from compressor.omni.tiny import write_tiny_checkpoint
from service.encoder.encoder import OmniEncoder
from service.media.chunk import MediaChunk


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def encoder(checkpoint: Path) -> OmniEncoder:
    return OmniEncoder.from_checkpoint(checkpoint)


@pytest.fixture
def make_chunk() -> Callable[..., MediaChunk]:
    """Builds noise: `make_chunk(index, sizes=((rows, columns) or None, ...), mel_frames=...)`."""

    def make(
        index: int = 0,
        sizes: tuple[tuple[int, int] | None, ...] = ((2, 3), (2, 3)),
        mel_frames: int = 200,
        seed: int = 0,
    ) -> MediaChunk:
        generator = torch.Generator().manual_seed(1000 * seed + index)
        grids = tuple(
            None
            if size is None
            else torch.randint(
                0,
                256,
                (2, 3, 28 * size[0], 28 * size[1]),
                generator=generator,
                dtype=torch.uint8,
            )
            for size in sizes
        )
        return MediaChunk(index, grids, torch.randn(128, mel_frames, generator=generator))

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
