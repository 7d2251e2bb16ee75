"""The text model over a stream and many questions at once.

The stream is encoded once; each question sees it and itself, none sees another. Equal to the
stock forward of `Qwen2_5OmniThinkerTextModel` on stream + question, for each question by itself.
Knows nothing about how the stream's tokens were chosen.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerTextModel

from compressor.training.towers import rms_norm, rotate

_BLOCK_QUESTIONS = 5


@dataclass(frozen=True, slots=True)
class Sequence:
    """Embeddings and where they stand.

    Attributes:
        embeddings: `[B, N, D]`.
        positions: `[3, B, N]` int64.
    """

    embeddings: Tensor
    positions: Tensor


class Reader(nn.Module):
    """Runs the text model; shares the parameters of the model given."""

    inv_freq: Tensor
    axis: Tensor

    def __init__(self, model: Qwen2_5OmniThinkerTextModel) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.middle = (config.num_hidden_layers + 1) // 2
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        sections = torch.tensor(config.rope_parameters["mrope_section"])
        inv_freq = model.rotary_emb.inv_freq.detach().float().clone()
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        axis = torch.arange(3).repeat_interleave(sections)
        self.register_buffer("axis", axis, persistent=False)

    def forward(
        self, stream: Sequence, asked: Sequence, num_questions: int, seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read a stream and questions about it.

        Args:
            stream: Header and media, N tokens, those that do not exist at the end.
            asked: Closing markers, questions and answers, `num_questions` rows of L tokens flat.
            num_questions: Q.
            seen: `[B, N]` bool, the tokens of the stream that exist.

        Returns:
            Hidden states of the questions, `[B, Q, L, D]`, and of the stream after the middle
            layer, `[B, N, D]`.
        """
        hidden = torch.cat([stream.embeddings, asked.embeddings], dim=1)
        positions = torch.cat([stream.positions, asked.positions], dim=2)
        cos, sin = self._angles(positions)
        crowd = _Crowd(seen, num_questions, asked.embeddings.shape[1] // num_questions)
        split = stream.embeddings.shape[1]
        middle = hidden[:, :split]
        for number, layer in enumerate(self.model.layers, start=1):
            hidden = self._layer(layer, hidden, (cos, sin), crowd)
            if number == self.middle:
                middle = hidden[:, :split]
        kept = rms_norm(hidden[:, split:], self.model.norm)
        return kept.view(len(kept), num_questions, -1, kept.shape[2]), middle

    def _angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        by_frequency = positions[self.axis].permute(1, 2, 0).float()  # [B, N, d / 2]
        angles = by_frequency * self.inv_freq
        angles = torch.cat([angles, angles], dim=-1)[:, :, None]
        return angles.cos(), angles.sin()

    def _layer(
        self, layer: Any, hidden: Tensor, angles: tuple[Tensor, Tensor], crowd: "_Crowd"
    ) -> Tensor:
        attention, normed = layer.self_attn, rms_norm(hidden, layer.input_layernorm)
        shape = normed.shape[:2]
        query = attention.q_proj(normed).view(*shape, self.num_heads, -1)
        key = attention.k_proj(normed).view(*shape, self.num_kv_heads, -1)
        value = attention.v_proj(normed).view(*shape, self.num_kv_heads, -1)
        query, key = (rotate(one, *angles).to(value.dtype) for one in (query, key))
        mixed = self._attend(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), crowd
        )
        hidden = hidden + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        result: Tensor = hidden + layer.mlp(rms_norm(hidden, layer.post_attention_layernorm))
        return result

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, crowd: "_Crowd") -> Tensor:
        # the stream is plainly causal, so it needs no mask and takes the fast kernel
        split = crowd.seen.shape[1]
        groups = self.num_heads // self.num_kv_heads
        key, value = (one.repeat_interleave(groups, dim=1) for one in (key, value))
        stream = F.scaled_dot_product_attention(
            query[:, :, :split], key[:, :, :split], value[:, :, :split], is_causal=True
        )
        attend = crowd.attend_in_blocks if query.device.type == "cpu" else crowd.attend
        return torch.cat([stream, attend(query[:, :, split:], key, value)], dim=2)


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Questions that see the stream and themselves, but not each other.

    Attributes:
        seen: `[B, N]` bool, the tokens of the stream that exist.
        number: Q.
        length: L, tokens of each.
    """

    seen: Tensor
    number: int
    length: int

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend with one mask: queries `[B, H, Q * L, d]`, keys and values of all N + Q * L."""
        place = torch.arange(self.number * self.length, device=self.seen.device)
        is_own = place[:, None] // self.length == place // self.length
        own = (is_own & (place[:, None] >= place)).expand(len(self.seen), -1, -1)
        past = self.seen[:, None, :].expand(-1, len(place), -1)
        mask = torch.cat([past, own], dim=2)[:, None]
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    def attend_in_blocks(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Do the same, for processors: a few questions at a time, whose scores fit the cache.

        Between questions nothing is computed. Two and a half times as fast as a mask on one core,
        forward and backward.
        """
        with torch.autocast(query.device.type, enabled=False):
            past_key, own_key = self._split(key)
            past_value, own_value = self._split(value)
            asked = self._by_question(query * query.shape[-1] ** -0.5)
            hidden = torch.zeros_like(self.seen, dtype=query.dtype)
            hidden = hidden.masked_fill_(~self.seen, -torch.inf)[:, None, None]
            later = torch.full((self.length, self.length), -torch.inf).triu_(1).to(query.dtype)
            own_scores = asked @ own_key.transpose(3, 4) + later
            blocks = []
            for first in range(0, self.number, _BLOCK_QUESTIONS):
                part = slice(first, first + _BLOCK_QUESTIONS)
                rows = asked[:, :, part].flatten(2, 3)
                past = rows @ past_key.transpose(2, 3) + hidden
                share = torch.cat([past, own_scores[:, :, part].flatten(2, 3)], 3).softmax(3)
                on_past, on_own = share[..., : past.shape[3]], share[..., past.shape[3] :]
                own = self._by_question(on_own) @ own_value[:, :, part]
                blocks.append(on_past @ past_value + own.flatten(2, 3))
            return torch.cat(blocks, dim=2)

    def _split(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Take the stream's from the questions': `[B, H, N, d]`, `[B, H, Q, L, d]`."""
        num_past = self.seen.shape[1]
        return tokens[:, :, :num_past], self._by_question(tokens[:, :, num_past:])

    def _by_question(self, tokens: Tensor) -> Tensor:
        batch, heads, _, size = tokens.shape
        return tokens.reshape(batch, heads, -1, self.length, size)


__all__ = ["Reader", "Sequence"]
