"""Attention over paged keys and values, as one of transformers' attention implementations.

The text model runs one packed row `[1, total, H]` of many sequences' new tokens. Its attention
layers call `_paged_attention` with the new queries, keys and values; a `PagedAttention` that came
with the forward writes the keys and values to their slots and attends over each sequence's pages.
Another device's kernel is another `PagedAttention`; nothing else changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from service.llm.pages import PagePool
from service.llm.sequence import PagedSequence

IMPLEMENTATION = "omnisift_paged"


@dataclass(frozen=True, slots=True)
class Span:
    """One sequence's share of a packed forward; a sequence has at most one.

    Attributes:
        sequence: Has room reserved for the new tokens; its length does not count them yet.
        start: First row of its new tokens in the packed input.
        num_tokens: New tokens, 1 or more; each sees all cached tokens and the new ones up to it.
    """

    sequence: PagedSequence
    start: int
    num_tokens: int

    @property
    def stop(self) -> int:
        return self.start + self.num_tokens

    @property
    def num_keys(self) -> int:
        """Tokens that its last new token sees, itself included."""
        return self.sequence.length + self.num_tokens


class PagedAttention(Protocol):
    """Attention of one packed forward, the same for all layers but for the layer's number."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Write the new keys and values, then attend.

        Args:
            layer: Number of the layer, from 0.
            query: `[Hq, total, head_dim]`, rotated.
            key: `[Hkv, total, head_dim]`, rotated, of the new tokens only.
            value: Likewise, not rotated.
            scale: Factor on the scores.

        Returns:
            `[total, Hq, head_dim]`.
        """
        ...


class AttentionBody(Protocol):
    """Makes the attention of a forward."""

    def __call__(self, pool: PagePool, spans: Sequence[Span]) -> PagedAttention: ...


def use_paged_attention(model: PreTrainedModel) -> None:
    """Switch a text model over; its forward then needs the keyword `paged: PagedAttention`."""
    ALL_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _paged_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(IMPLEMENTATION, _no_mask)
    model.set_attn_implementation(IMPLEMENTATION)


def _no_mask(*_: object, **__: object) -> None:
    """Build no mask: who sees whom follows from the spans."""


def _paged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    paged: PagedAttention,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    layer = module.layer_idx
    assert isinstance(layer, int)
    return paged.attend(layer, query[0], key[0], value[0], scaling)[None], None


def written_slots(pool: PagePool, spans: Sequence[Span]) -> Tensor:
    """Return the slot of every new token: `[total]` int64, on the pool's device."""
    slots = [s.sequence.slots(s.sequence.length, s.num_keys) for s in spans]
    return torch.cat([torch.from_numpy(part) for part in slots]).to(pool.keys.device)
