"""The stock model that the engine is compared with."""

from collections.abc import Iterator

import pytest
import torch

from tests.service.llm.thinker import Thinker, build_thinker


@pytest.fixture(scope="session")
def thinker() -> Thinker:
    return build_thinker()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny operators only wait for each other on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
