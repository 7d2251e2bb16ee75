"""Vision-guided audio selection (VGAS): the one learned part. Knows nothing of budgets.

Source: OmniSIFT (arXiv 2602.04804), section 3; layers and their names as in the official code.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.config import CompressorConfig


class AudioSelector(nn.Module):
    """Scores audio tokens by what the kept video tokens of their chunk make of them.

    One cross-attention layer (audio asks, video answers), residual, norm, and a two-layer head. No
    positions, no dropout, no memory between chunks. Its state dict has the official names, so the
    tensors under `thinker.compressor.` of a published checkpoint load with `strict=True`.

    Initial weights depend on the seed of the configuration alone; the global generator is left as
    it was.

    Attributes:
        config: Its size, and what its scores mean.
    """

    def __init__(self, config: CompressorConfig) -> None:
        super().__init__()
        self.config = config.selector
        size, width = config.selector, config.selector.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(size.seed)
            self.v_proj = nn.Linear(config.hidden_size, width)
            self.a_proj = nn.Linear(config.hidden_size, width)
            self.v_norm = nn.LayerNorm(width)
            self.a_norm = nn.LayerNorm(width)
            self.post_attn_norm = nn.LayerNorm(width)
            self.cross_attn = nn.MultiheadAttention(width, size.heads, batch_first=True)
            self.score_head = nn.Sequential(
                nn.Linear(width, size.head_width), nn.SiLU(), nn.Linear(size.head_width, 1)
            )

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Score audio tokens.

        Computes in the dtype of the selector's parameters, whatever that of the embeddings is.
        float32 is advised (4.9 M parameters at the published size): in bfloat16 the scores of 50
        tokens tie often, and ranks may depend on the batch.

        Args:
            video: Guiding tokens `[B, V, D]`, V >= 1.
            audio: `[B, A, D]`.

        Returns:
            Scores `[B, A]` in (0, 1), dtype of the parameters.
        """
        dtype = self.v_proj.weight.dtype
        guide = self.v_norm(self.v_proj(video.to(dtype)))
        asked = self.a_norm(self.a_proj(audio.to(dtype)))
        answer = self._attend(asked, guide)
        scores: Tensor = self.score_head(self.post_attn_norm(answer + asked))
        return scores.squeeze(-1).sigmoid()

    def _attend(self, asked: Tensor, guide: Tensor) -> Tensor:
        """Compute `cross_attn`, less the mean attention that its own `forward` returns."""
        layer, width = self.cross_attn, asked.shape[-1]
        weight, bias = layer.in_proj_weight, layer.in_proj_bias
        query = functional.linear(asked, weight[:width], bias[:width]) * layer.head_dim**-0.5
        key, value = functional.linear(guide, weight[width:], bias[width:]).chunk(2, dim=-1)
        heads = (len(asked), -1, layer.num_heads, layer.head_dim)
        query, key, value = (part.reshape(heads).transpose(1, 2) for part in (query, key, value))
        share = (query @ key.transpose(-1, -2)).softmax(dim=-1)
        answer: Tensor = layer.out_proj((share @ value).transpose(1, 2).flatten(2))
        return answer


__all__ = ["AudioSelector"]
