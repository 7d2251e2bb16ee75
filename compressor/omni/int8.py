"""Linear layers that hold their weights as int8: half of bfloat16's memory, products as before.

Each output has a scale of its own, the largest weight of its row over 127; nothing needs data to
calibrate on. Activations, embeddings and the head stay as they are. Knows nothing about models.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LARGEST = 127
_NO_SCALE = 1e-30  # of a row of zeros, which stays one
_FEW_ROWS = 64  # up to so many torch's kernel is faster than widening the weights first
_KERNEL_STEP = 32  # it reads past the end of rows that are no multiple, and may crash


class Int8Linear(nn.Module):
    """Stands in for an `nn.Linear`, for inference.

    Attributes:
        weight: `[out, in]` int8.
        scale: `[out]`, in the dtype of the layer it stands in for.
        bias: `[out]` or None, likewise.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        dense, dtype = linear.weight.detach().float(), linear.weight.dtype
        scale = (dense.abs().amax(1) / _LARGEST).to(dtype)
        steps = dense / scale.float().clamp(min=_NO_SCALE)[:, None]
        self.register_buffer("weight", steps.round().clamp(-_LARGEST, _LARGEST).to(torch.int8))
        self.register_buffer("scale", scale)
        bias = None if linear.bias is None else linear.bias.detach()
        self.register_buffer("bias", bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[..., in]` -> `[..., out]`."""
        rows = inputs.numel() // self.in_features
        if self._has_kernel(inputs) and rows <= _FEW_ROWS:
            flat = inputs.reshape(rows, self.in_features).contiguous()
            scaled = torch.ops.aten._weight_int8pack_mm(flat, self.weight, self.scale)
            out: Tensor = scaled.view(*inputs.shape[:-1], self.out_features)
        elif inputs.dtype == torch.float16:  # sums of unscaled weights would overflow
            out = F.linear(inputs, self.weight.to(inputs.dtype) * self.scale[:, None])
        else:
            out = F.linear(inputs, self.weight.to(inputs.dtype)) * self.scale
        return out if self.bias is None else out + self.bias

    def _has_kernel(self, inputs: Tensor) -> bool:
        is_supported = inputs.device.type == "cpu" and inputs.dtype == torch.bfloat16
        return is_supported and self.in_features % _KERNEL_STEP == 0

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


def to_int8(module: nn.Module) -> None:
    """Replace every linear layer within a module, one at a time."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        else:
            to_int8(child)


def held_bytes(*modules: nn.Module) -> int:
    """Size of all that modules hold, int8 or not."""
    return sum(
        tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers())
    )


__all__ = ["Int8Linear", "held_bytes", "to_int8"]
