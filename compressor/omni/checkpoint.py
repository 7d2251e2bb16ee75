"""Models from a checkpoint in the layout of Qwen2.5-Omni; each load reads only its own part.

    thinker.audio_tower.*   load_audio_tower         thinker.model.*     load_text_model
    thinker.visual.*        load_vision_tower        thinker.lm_head.*   load_text_model
    thinker.compressor.*    load_selector_state      talker.*, token2wav.*   never read

Every function takes a folder or a hub id and raises FileNotFoundError where files are missing and
ValueError where they are damaged or do not fit together. Knows nothing of what runs the models.
Source of the layout: Qwen/Qwen2.5-Omni-7B and dingyue1011/OmniSIFT-7B on the Hugging Face hub.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5OmniThinkerConfig,
    Qwen2Tokenizer,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)
from transformers.utils import logging as transformers_logging

from compressor.config import SelectorConfig
from compressor.omni.int8 import to_int8
from compressor.omni.shards import locate, read_tensors

CONFIG_FILE = "config.json"
_THINKER = "qwen2_5_omni_thinker"
TOKENIZER_FILES = ["*.json", "*.txt", "*.jinja"]
AUDIO_TOWER = "thinker.audio_tower."
VISION_TOWER = "thinker.visual."
TEXT_MODEL = "thinker.model."
HEAD = "thinker.lm_head."
SELECTOR = "thinker.compressor."
_Model = TypeVar("_Model", bound=PreTrainedModel)


def load_config(source: str | Path) -> Qwen2_5OmniThinkerConfig:
    """Read the thinker's config out of config.json; it holds every size and id."""
    path = locate(source, [CONFIG_FILE]) / CONFIG_FILE
    if not path.exists():
        raise FileNotFoundError(f"no {CONFIG_FILE} in {path.parent}: is it a checkpoint folder?")
    try:
        content = json.loads(path.read_text())
        if "thinker_config" not in content and content.get("model_type") != _THINKER:
            raise ValueError("no thinker_config")
        return Qwen2_5OmniThinkerConfig.from_pretrained(path.parent)
    except (OSError, TypeError, ValueError, StrictDataclassError) as exc:
        raise ValueError(f"{path} does not describe a Qwen2.5-Omni: {exc!r}") from exc


def selector_config(config: Qwen2_5OmniThinkerConfig) -> SelectorConfig:
    """Return the audio selector's config: that of a `compressor` entry, else the published one.

    The entry's `quiet_score` is optional: only a selector whose scores are probabilities has one.

    Raises:
        ValueError: If the entry lacks a size, its sizes do not fit together, or a value is out of
            range.
    """
    entry = getattr(config, "compressor", None)
    if entry is None:
        return SelectorConfig()
    try:
        width, heads = int(entry["selector_size"]), int(entry["num_heads"])
        quiet_score = float(entry.get("quiet_score", 0.0))
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(
            f"the config's compressor entry must give selector_size and num_heads, got {entry}"
        ) from exc
    return SelectorConfig(width, heads, head_width=width // 2, quiet_score=quiet_score)


def trained_ids(config: Qwen2_5OmniThinkerConfig) -> int | None:
    """Return the ids that the longest stream takes which the model was trained with.

    An optional `trained_stream_s` of the config says how long that was; published ones have none.

    Raises:
        ValueError: If it is no positive number.
    """
    trained_s = getattr(config, "trained_stream_s", None)
    if trained_s is None:
        return None
    if not isinstance(trained_s, int | float) or not trained_s > 0:
        raise ValueError(f"the config's trained_stream_s must be seconds above 0, got {trained_s}")
    return int(trained_s * config.position_id_per_seconds)


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer from the checkpoint's own files."""
    folder = locate(source, TOKENIZER_FILES)
    if not any((folder / name).exists() for name in ("tokenizer.json", "vocab.json")):
        raise FileNotFoundError(
            f"no tokenizer.json or vocab.json in {folder}: copy the tokenizer's files there"
        )
    tokenizer: PreTrainedTokenizerBase = Qwen2Tokenizer.from_pretrained(folder)
    return tokenizer


def load_audio_tower(
    source: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Qwen2_5OmniAudioEncoder:
    """Load the audio tower, ready for inference."""
    config = load_config(source).audio_config
    tensors = _read(source, AUDIO_TOWER)
    return _build(Qwen2_5OmniAudioEncoder, config, tensors, dtype, device)


def load_vision_tower(
    source: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Qwen2_5OmniVisionEncoder:
    """Load the vision tower with its merger, ready for inference."""
    config = load_config(source).vision_config
    tensors = _read(source, VISION_TOWER)
    return _build(Qwen2_5OmniVisionEncoder, config, tensors, dtype, device)


def load_text_model(
    source: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    *,
    int8_weights: bool = False,
) -> tuple[Qwen2_5OmniThinkerTextModel, nn.Linear]:
    """Load the language model and its head, ready for inference.

    Args:
        source: A folder in the layout of Qwen2.5-Omni, or a hub id.
        dtype: Of weights and activations.
        device: Where to put them.
        int8_weights: Whether the layers hold their weights as int8 (see `Int8Linear`); made so
            before they go to the device. Embedding and head never do.

    Returns:
        The model and the head, D to vocabulary without bias. A checkpoint without a head of its
        own is tied: the head then shares the weight of the embedding.
    """
    config = load_config(source).get_text_config()
    tensors = _read(source, TEXT_MODEL)
    built: Any = _build(Qwen2_5OmniThinkerTextModel, config, tensors, dtype, "cpu")
    if int8_weights:
        to_int8(built)
    model: Qwen2_5OmniThinkerTextModel = built.to(device)
    head_weight = _read(source, HEAD).get("weight")
    embedding = model.embed_tokens.weight
    head = nn.Linear(embedding.shape[1], embedding.shape[0], bias=False, device="meta")
    weight = embedding if head_weight is None else head_weight.to(device, dtype)
    if weight.shape != embedding.shape:
        raise ValueError(
            f"thinker.lm_head.weight is {list(weight.shape)}, but the embedding is "
            f"{list(embedding.shape)}"
        )
    head.weight = nn.Parameter(weight.detach(), requires_grad=False)
    return model, head.eval()


def load_selector_state(source: str | Path) -> dict[str, Tensor] | None:
    """Read the audio selector's tensors under their own names; None where there are none."""
    return _read(source, SELECTOR) or None


def _read(source: str | Path, prefix: str) -> dict[str, Tensor]:
    stored = read_tensors(source, prefix)
    return {name.removeprefix(prefix): tensor for name, tensor in stored.items()}


def _build(
    kind: type[_Model],
    config: Any,
    tensors: dict[str, Tensor],
    dtype: torch.dtype,
    device: torch.device | str,
) -> _Model:
    _check_fit(kind, config, tensors)
    with _no_progress_bar():
        # this also rebuilds the buffers that no checkpoint holds, such as rope frequencies
        built: Any = kind.from_pretrained(
            None, config=config, state_dict=tensors, dtype=dtype, attn_implementation="sdpa"
        )
    model: _Model = built.to(device).requires_grad_(False).eval()
    return model


def _check_fit(kind: type[_Model], config: Any, tensors: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        expected = {name: weight.shape for name, weight in kind(config).state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if wrong := sorted(name for name, _ in expected.items() ^ found.items()):
        raise ValueError(
            f"{kind.__name__} and the checkpoint differ in {len(set(wrong))} tensors, for instance "
            f"{wrong[0]} (expected {_shape(expected, wrong[0])}, stored {_shape(found, wrong[0])}):"
            " is the checkpoint complete, and does its config.json belong to it?"
        )


def _shape(shapes: dict[str, torch.Size], name: str) -> list[int] | None:
    return list(shapes[name]) if name in shapes else None


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    switches: Any = transformers_logging  # untyped functions
    was_enabled = switches.is_progress_bar_enabled()
    switches.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            switches.enable_progress_bar()


__all__ = [
    "AUDIO_TOWER",
    "CONFIG_FILE",
    "HEAD",
    "SELECTOR",
    "TEXT_MODEL",
    "TOKENIZER_FILES",
    "VISION_TOWER",
    "load_audio_tower",
    "load_config",
    "load_selector_state",
    "load_text_model",
    "load_tokenizer",
    "load_vision_tower",
    "selector_config",
    "trained_ids",
]
