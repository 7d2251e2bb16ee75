"""What it costs the LLM to take tokens in: a stock text model with random weights.

The time of a forward does not depend on the values of the weights. Knows nothing of compression.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2_5OmniTextConfig, Qwen2_5OmniThinkerTextModel

from benchmarks.timing import Repeats, time_in_turn
from compressor.omni.checkpoint import load_config
from compressor.weights import EMBEDDED_MODEL


@dataclass(frozen=True, slots=True)
class Prefill:
    """Time to take in the tokens of one chunk, and how it was found.

    Attributes:
        chunk_s: Seconds for one chunk.
        num_chunks: Chunks in the forward that was timed.
        num_layers: Layers that were timed.
        num_layers_scaled_to: Layers of the model that the time is for.
    """

    chunk_s: float
    num_chunks: int
    num_layers: int
    num_layers_scaled_to: int

    def __str__(self) -> str:
        text = f"{1e3 * self.chunk_s:.3f} ms per chunk, {self.num_chunks} in one forward"
        if self.num_layers == self.num_layers_scaled_to:
            return text
        return f"{text}, {self.num_layers} layer timed, scaled to {self.num_layers_scaled_to}"


@torch.no_grad()
def measure_prefill(
    config: Qwen2_5OmniTextConfig,
    num_tokens: int,
    num_chunks: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
    num_layers: int | None = None,
) -> Prefill:
    """Time one forward over `num_chunks` times `num_tokens` tokens.

    The forward is as cheap as it can be: tokens attend to their own chunk only, no context before
    them, no keys written, no logits.

    Args:
        config: Sizes of the text model.
        num_tokens: Of a chunk.
        num_chunks: Together in the forward; enough of them to fill the device.
        device: Where.
        dtype: Of weights and embeddings.
        num_layers: Layers to build and time, from which the rest follow; None for all.
    """
    total = int(config.num_hidden_layers)
    built = num_layers or total
    model = build_layers(config, built, device, dtype)
    embeddings = torch.randn(num_chunks, num_tokens, config.hidden_size, device=device, dtype=dtype)
    forward = partial(
        model, inputs_embeds=embeddings, position_ids=positions_of(embeddings), use_cache=False
    )
    timing = time_in_turn({"forward": forward}, device, Repeats(budget_s=2.0))["forward"]
    return Prefill(timing.median_s / num_chunks * total / built, num_chunks, built, total)


def embedded_config() -> Qwen2_5OmniTextConfig:
    """Sizes of the shipped text model."""
    config: Any = load_config(EMBEDDED_MODEL)
    text: Qwen2_5OmniTextConfig = config.text_config
    return text


def seven_b_config() -> Qwen2_5OmniTextConfig:
    """Sizes of Qwen2.5-Omni-7B's text model, which are the defaults of its class."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    return Qwen2_5OmniTextConfig(rope_parameters=rope)


def build_layers(
    config: Qwen2_5OmniTextConfig, num_layers: int, device: torch.device, dtype: torch.dtype
) -> Any:
    """Build a text model of few layers and random weights, to be given embeddings."""
    # no token is embedded here, so one row of the embedding does
    sizes = config.to_dict() | {"num_hidden_layers": num_layers, "vocab_size": 1}
    sizes |= {"layer_types": None, "pad_token_id": None, "eos_token_id": None}
    build: Any = Qwen2_5OmniThinkerTextModel._from_config
    with torch.device(device):
        model = build(Qwen2_5OmniTextConfig(**sizes), dtype=dtype, attn_implementation="sdpa")
    return model.eval()


def positions_of(embeddings: Tensor) -> Tensor:
    """Number tokens `[B, N, D]` as text: `[3, B, N]`."""
    num_chunks, num_tokens, _ = embeddings.shape
    ids = torch.arange(num_tokens, device=embeddings.device)
    return ids.expand(3, num_chunks, -1)


__all__ = [
    "Prefill",
    "build_layers",
    "embedded_config",
    "measure_prefill",
    "positions_of",
    "seven_b_config",
]
