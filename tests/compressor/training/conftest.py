from collections.abc import Iterator

import pytest
import torch

from compressor.omni.chat import ChatLayout
from compressor.omni.geometry import Geometry, thinker_config
from compressor.training.batches import Batch, BatchConfig, BatchStream
from compressor.training.step import Studio
from compressor.training.student import Student
from compressor.training.tokenizer import vocab_size, word_tokenizer


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep small tensors on one thread: handing them out costs more than it gains."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def layout() -> ChatLayout:
    tokenizer = word_tokenizer()
    return ChatLayout(tokenizer, thinker_config(Geometry(vocab_size=vocab_size(tokenizer))))


@pytest.fixture(scope="session")
def geometry() -> Geometry:
    return Geometry(
        hidden_size=48,
        num_layers=2,
        num_heads=3,
        num_kv_heads=1,
        mlp_size=64,
        vocab_size=vocab_size(word_tokenizer()),
        audio_size=24,
        audio_layers=1,
        audio_heads=2,
        vision_size=24,
        vision_layers=2,
        vision_heads=2,
        selector_size=16,
        selector_heads=2,
    )


@pytest.fixture
def student(geometry: Geometry) -> Student:
    return Student(geometry, seed=3)


@pytest.fixture(scope="session")
def header(layout: ChatLayout) -> torch.Tensor:
    return torch.tensor(layout.header())


@pytest.fixture(scope="session")
def batch(layout: ChatLayout) -> Batch:
    """Two clips of 4 s."""
    return BatchStream(BatchConfig((4,), (1.0,), 8, seed=5), layout).batch(0)


@pytest.fixture(scope="session")
def media(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return Studio(torch.device("cpu"), 0).shoot(batch)
