"""Checks of the model's files: they are there, describe a Qwen2.5-Omni, and fit together."""

from collections.abc import Iterator
from typing import Any

from transformers import Qwen2_5OmniThinkerConfig

from compressor.omni.checkpoint import (
    load_config,
    load_selector_state,
    load_tokenizer,
    selector_config,
)
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


__all__ = ["cache_bytes", "check_model"]
