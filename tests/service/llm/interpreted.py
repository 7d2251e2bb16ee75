"""Our Triton kernels in Triton's interpreter, on a CPU, with nothing left behind."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from service.llm import triton_attention, triton_kernels


@contextmanager
def interpreted_kernels() -> Iterator[None]:
    """Let `TritonAttention` run on a CPU meanwhile.

    Whether a kernel is interpreted is decided where it is decorated, so the module is loaded once
    more, under another name. `max` and `sum` of triton's own library were decorated long ago; in
    their place come the reductions that the interpreter would make of them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton.knobs.runtime, "interpret", True)
        patch.setattr(triton_attention, "kernels", _load_again())
        patch.setattr(tl, "max", _max)
        patch.setattr(tl, "sum", _sum)
        patch.setattr(InterpreterBuilder, "create_dot", _create_dot)
        yield


def _load_again() -> ModuleType:
    spec = importlib.util.spec_from_file_location("interpreted_kernels", triton_kernels.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _max(block: Tensor, axis: int) -> Tensor:
    return tl.reduce(block, axis, tl.standard._elementwise_max)


def _sum(block: Tensor, axis: int) -> Tensor:
    return tl.reduce(block, axis, tl.standard._sum_combine)


_interpreted_dot = InterpreterBuilder.create_dot


def _create_dot(
    self: InterpreterBuilder, left: TensorHandle, right: TensorHandle, *rest: object
) -> TensorHandle:
    wide = (
        self.create_fp_ext(x, tl.float32) if x.dtype.scalar.is_bf16() else x for x in (left, right)
    )
    return _interpreted_dot(self, *wide, *rest)
