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
        mask = _question_mask(seen, num_questions, asked.embeddings.shape[1] // num_questions)
        split = stream.embeddings.shape[1]
        middle = hidden[:, :split]
        for number, layer in enumerate(self.model.layers, start=1):
            hidden = self._layer(layer, hidden, (cos, sin), mask)
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
        self, layer: Any, hidden: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor
    ) -> Tensor:
        attention, normed = layer.self_attn, rms_norm(hidden, layer.input_layernorm)
        shape = normed.shape[:2]
        query = attention.q_proj(normed).view(*shape, self.num_heads, -1)
        key = attention.k_proj(normed).view(*shape, self.num_kv_heads, -1)
        value = attention.v_proj(normed).view(*shape, self.num_kv_heads, -1)
        query, key = (rotate(one, *angles).to(value.dtype) for one in (query, key))
        mixed = self._attend(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), mask
        )
        hidden = hidden + attention.o_proj(mixed.transpose(1, 2).flatten(2))
        result: Tensor = hidden + layer.mlp(rms_norm(hidden, layer.post_attention_layernorm))
        return result

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        # the stream is plainly causal, so it needs no mask and takes the fast kernel
        split = query.shape[2] - mask.shape[2]
        groups = self.num_heads // self.num_kv_heads
        key, value = (one.repeat_interleave(groups, dim=1) for one in (key, value))
        stream = F.scaled_dot_product_attention(
            query[:, :, :split], key[:, :, :split], value[:, :, :split], is_causal=True
        )
        asked = F.scaled_dot_product_attention(query[:, :, split:], key, value, attn_mask=mask)
        return torch.cat([stream, asked], dim=2)


def _question_mask(seen: Tensor, num_questions: int, length: int) -> Tensor:
    """What each question token sees: `[B, 1, Q * L, N + Q * L]` bool."""
    place = torch.arange(num_questions * length, device=seen.device)
    is_own = place[:, None] // length == place // length
    own = (is_own & (place[:, None] >= place)).expand(len(seen), -1, -1)
    past = seen[:, None, :].expand(-1, len(place), -1)
    return torch.cat([past, own], dim=2)[:, None]


__all__ = ["Reader", "Sequence"]
