"""Attention of both towers within windows, all windows of one length in one call.

Upstream calls the attention kernel once per window. Knows nothing about chunks.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

IMPLEMENTATION = "omnisift_windows"


@dataclass(frozen=True, slots=True)
class Windows:
    """How N tokens fall into windows.

    Attributes:
        groups: Per length L that occurs, the tokens `[W, L]` int64 of its W windows.
    """

    groups: tuple[Tensor, ...]

    @classmethod
    def between(cls, bounds: Tensor) -> "Windows":
        """Read them from the bounds of N tokens, `[num_windows + 1]` from 0 to N."""
        starts, lengths = bounds[:-1].long(), bounds.diff()
        groups = []
        for length in sorted(set(lengths.tolist())):
            first = starts[lengths == length]
            groups.append(first[:, None] + torch.arange(length, device=bounds.device))
        return cls(tuple(groups))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Let tokens see their windows: `[H, N, d]` each, to `[N, H, d]`."""
        if len(self.groups) == 1:  # the tokens lie in order
            num_windows = len(self.groups[0])
            shape = (len(query), num_windows, -1, query.shape[2])
            query, key, value = (one.reshape(shape) for one in (query, key, value))
            return _attend(query, key, value, scale).flatten(0, 1)
        out = query.new_empty(query.shape[1], query.shape[0], query.shape[2])
        for tokens in self.groups:
            out[tokens] = _attend(query[:, tokens], key[:, tokens], value[:, tokens], scale)
        return out


def attend_in_windows(tower: PreTrainedModel, name: str) -> None:
    """Switch a tower of Qwen2.5-Omni over; what it computes stays the same.

    Args:
        tower: Either.
        name: Of the attention module in each of its layers.
    """
    ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _windowed_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _no_mask)
    tower.set_attn_implementation(IMPLEMENTATION)
    known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def announce(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = kwargs["cu_seqlens"]
        if bounds not in known:  # the layers of a forward share one or two
            known[bounds] = Windows.between(bounds)
        # upstream, which splits by these bounds, leaves the row whole
        num_tokens = len(args[0] if args else kwargs["hidden_states"])
        whole = torch.tensor([0, num_tokens])
        return args, {**kwargs, "cu_seqlens": whole, "windows": known[bounds]}

    for path, module in tower.named_modules():
        if path.endswith(f".{name}"):
            module.register_forward_pre_hook(announce, with_kwargs=True)


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """`[H, W, L, d]` to `[W, L, H, d]`."""
    query, key, value = (one.transpose(0, 1) for one in (query, key, value))
    return scaled_dot_product_attention(query, key, value, scale=scale).transpose(1, 2)


def _no_mask(*_: object, **__: object) -> None:
    """Build no mask: who sees whom follows from the windows."""


def _windowed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    windows: Windows,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    return windows.attend(query[0], key[0], value[0], scaling)[None], None


__all__ = ["Windows", "attend_in_windows"]
