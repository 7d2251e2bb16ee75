"""Checks of the model's files: they are there, describe a Qwen2.5-Omni, and fit together.

And how much memory it takes, which its config alone says.
"""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)

from compressor.omni.checkpoint import (
    load_config,
    load_selector_state,
    load_tokenizer,
    selector_config,
)
from compressor.omni.int8 import held_bytes, to_int8
from service.doctor.finding import Finding


def check_model(source: str, *, profile: str) -> Iterator[Finding]:
    """Read its config, tokenizer and selector; the large parts are left to the replicas.

    Args:
        source: Checkpoint folder or hub id.
        profile: Of sessions that name none.
    """
    try:
        config = load_config(source)
        load_tokenizer(source)
        selector_config(config)
        selector = load_selector_state(source)
    except (OSError, ValueError) as exc:
        advice = "set OMNISIFT_MODEL to a folder or hub id in Qwen2.5-Omni's layout"
        yield Finding("fail", "model", str(exc), advice)
        return
    yield Finding("ok", "model", source)
    if selector is None and profile != "speech":
        advice = "set OMNISIFT_PROFILE=speech, which keeps all audio"
        message = "none: which audio is kept, an untrained one would decide"
        yield Finding("warn", "selector", message, advice)


def cache_bytes(config: Qwen2_5OmniThinkerConfig, num_tokens: int, value_bytes: int) -> int:
    """Size of a KV cache of so many tokens."""
    text: Any = config.text_config
    head_size = text.hidden_size // text.num_attention_heads
    return int(
        2 * text.num_hidden_layers * text.num_key_value_heads * head_size * num_tokens * value_bytes
    )


def encoder_bytes(config: Qwen2_5OmniThinkerConfig, dtype: torch.dtype) -> int:
    """Size of an encoder replica's weights: both towers."""
    towers = (
        _outline(Qwen2_5OmniVisionEncoder, config.vision_config, dtype),
        _outline(Qwen2_5OmniAudioEncoder, config.audio_config, dtype),
    )
    return held_bytes(*towers)


def text_bytes(config: Qwen2_5OmniThinkerConfig, dtype: torch.dtype, *, int8_weights: bool) -> int:
    """Size of an LLM replica's weights: the text model and its head."""
    model = _outline(Qwen2_5OmniThinkerTextModel, config.get_text_config(), dtype)
    if int8_weights:
        to_int8(model)
    embedding: torch.Tensor = model.get_input_embeddings().weight
    return held_bytes(model) + embedding.nbytes  # the head is as large


def _outline(kind: Any, config: Any, dtype: torch.dtype) -> Any:
    """Build a model without its values."""
    with torch.device("meta"):
        model = kind(config)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)  # buffers keep theirs, as in a loaded one
    return model


__all__ = ["cache_bytes", "check_model", "encoder_bytes", "text_bytes"]
