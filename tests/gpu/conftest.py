"""What every test on a GPU needs."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _exact_products() -> Iterator[None]:
    """Products in float32, not TF32, which tolerances are not made for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)
