"""Layers with int8 weights on CUDA: their products are those of the dense ones."""

import pytest
import torch
from torch import nn

from compressor.omni.int8 import Int8Linear

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [1, 16, 512])
def test_products_are_those_of_the_dense_layer(dtype: torch.dtype, rows: int) -> None:
    torch.manual_seed(0)
    dense = nn.Linear(3584, 512, device="cuda", dtype=dtype).requires_grad_(False)
    inputs = torch.randn(rows, 3584, device="cuda", dtype=dtype)

    found, expected = Int8Linear(dense)(inputs), dense(inputs)

    assert (found - expected).float().norm() < 0.02 * expected.float().norm()
