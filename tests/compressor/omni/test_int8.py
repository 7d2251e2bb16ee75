import pytest
import torch
from torch import nn

from compressor.omni.int8 import Int8Linear, held_bytes, to_int8


def random_linear(dtype: torch.dtype, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias)
    with torch.no_grad():
        # rows of very different sizes: one scale for all would lose the small ones
        sizes = torch.logspace(-3, 2, 40)
        linear.weight.mul_(sizes[:, None])
        if bias:
            linear.bias.mul_(sizes)
    return linear.to(dtype).requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 96), (3, 5, 96), (200, 96), (0, 96)])
def test_products_are_those_of_the_dense_layer(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    dense = random_linear(dtype)
    inputs = torch.randn(shape).to(dtype)

    found = Int8Linear(dense)(inputs)

    expected = dense.double()(inputs.double())
    assert found.dtype == dtype
    assert found.shape == expected.shape
    # per output, against the size that its sum of 96 terms of random sign has on average
    size = inputs.double().norm() * dense.weight.norm(dim=1) / 96**0.5
    error = (found.double() - expected).flatten(0, -2).norm(dim=0)
    assert (error <= 0.03 * size).all()


@pytest.mark.parametrize("num_inputs", [96, 50])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_width_and_layout_of_inputs_is_multiplied(num_inputs: int, stride: int) -> None:
    # torch's kernel crashes on the one and refuses the other
    dense = nn.Linear(num_inputs, 40, dtype=torch.bfloat16).requires_grad_(False)
    inputs = torch.randn(3, stride * num_inputs, dtype=torch.bfloat16)[:, ::stride]

    found, expected = Int8Linear(dense)(inputs), dense(inputs)

    assert (found - expected).float().norm() < 0.02 * expected.float().norm()


def test_few_rows_and_many_are_multiplied_alike() -> None:
    layer = Int8Linear(random_linear(torch.bfloat16))
    inputs = torch.randn(100, 96, dtype=torch.bfloat16)

    together = layer(inputs)
    apart = torch.cat([layer(row) for row in inputs.split(1)])

    gap = (together - apart).float().norm(dim=0)
    assert (gap <= 0.01 * together.float().norm(dim=0)).all()


def test_large_activations_do_not_overflow_float16() -> None:
    dense = nn.Linear(96, 40, dtype=torch.float16).requires_grad_(False)
    inputs = 1000 * torch.randn(8, 96, dtype=torch.float16)

    found, expected = Int8Linear(dense)(inputs), dense(inputs)

    assert found.isfinite().all()
    assert (found - expected).float().norm() < 0.02 * expected.float().norm()


def test_a_row_of_zeros_stays_one() -> None:
    dense = random_linear(torch.bfloat16, bias=False)
    with torch.no_grad():
        dense.weight[7] = 0.0

    found = Int8Linear(dense)(torch.randn(4, 96, dtype=torch.bfloat16))

    assert (found[:, 7] == 0).all()
    assert found.isfinite().all()


def test_all_linear_layers_within_are_replaced() -> None:
    inner = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    model = nn.Sequential(nn.Embedding(5, 8), inner, nn.Linear(8, 3, bias=False))

    to_int8(model)

    kinds = [type(part) for part in model.modules() if not list(part.children())]
    assert kinds == [nn.Embedding, Int8Linear, nn.LayerNorm, Int8Linear]
    assert str(model[2]) == "Int8Linear(in_features=8, out_features=3)"


def test_weights_take_half_of_bfloat16s_memory() -> None:
    dense = nn.Linear(512, 512, bias=False, dtype=torch.bfloat16)
    layer = Int8Linear(dense)

    held = held_bytes(layer)

    assert held < 0.51 * dense.weight.nbytes
    assert not list(layer.parameters())
