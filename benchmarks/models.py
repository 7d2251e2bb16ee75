"""Models under test: of a checkpoint, or with random weights made where they run.

Latency does not depend on the values of weights, so the 7B-sized model needs no download and no
disk: 7.7 billion random numbers are drawn on the device.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from transformers import (
    PreTrainedModel,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)

from benchmarks.prefill import seven_b_config
from compressor.audio import AudioSelector
from compressor.config import CompressorConfig
from compressor.omni.chat import ChatLayout
from compressor.omni.checkpoint import (
    load_config,
    load_text_model,
    load_tokenizer,
    selector_config,
)
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tokenizer import byte_tokenizer
from compressor.weights import EMBEDDED_MODEL
from service.compression.checkpoint import load_selector
from service.encoder.encoder import OmniEncoder

SIZES = ("embedded", "7b")
ATTENTION = "sdpa"  # of the stock modules; the engine brings its own


class Models(Protocol):
    """Parts of one model; each call makes the part anew."""

    @property
    def thinker(self) -> Qwen2_5OmniThinkerConfig:
        """Sizes and ids."""
        ...

    def encoder(self) -> OmniEncoder:
        """Both towers."""
        ...

    def selector(self) -> AudioSelector:
        """The compressor's weights, float32."""
        ...

    def text_model(self) -> tuple[PreTrainedModel, nn.Linear]:
        """The language model and its head."""
        ...

    def chat(self) -> ChatLayout:
        """Layout of the conversation."""
        ...

    def stock(self) -> Any:
        """The whole thinker, as transformers runs it."""
        ...


@dataclass(frozen=True, slots=True)
class CheckpointModels:
    """Models of a checkpoint."""

    folder: Path
    device: torch.device
    dtype: torch.dtype

    @property
    def thinker(self) -> Qwen2_5OmniThinkerConfig:
        return load_config(self.folder)

    def encoder(self) -> OmniEncoder:
        return OmniEncoder.from_checkpoint(self.folder, dtype=self.dtype, device=self.device)

    def selector(self) -> AudioSelector:
        return load_selector(self.folder, self.device)

    def text_model(self) -> tuple[PreTrainedModel, nn.Linear]:
        return load_text_model(self.folder, self.dtype, self.device)

    def chat(self) -> ChatLayout:
        return ChatLayout(load_tokenizer(self.folder), self.thinker)

    def stock(self) -> Any:
        thinker: Any = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            self.folder, dtype=self.dtype, attn_implementation=ATTENTION
        )
        return thinker.to(self.device)


@dataclass(frozen=True, slots=True)
class RandomModels:
    """Models of given sizes with random weights; the ids are those of the byte tokenizer."""

    thinker: Qwen2_5OmniThinkerConfig
    device: torch.device
    dtype: torch.dtype

    def encoder(self) -> OmniEncoder:
        vision_tower = self._build(Qwen2_5OmniVisionEncoder, self.thinker.vision_config)
        audio_tower = self._build(Qwen2_5OmniAudioEncoder, self.thinker.audio_config)
        ids_per_s = int(self.thinker.position_id_per_seconds)
        return OmniEncoder.from_towers(audio_tower, vision_tower, ids_per_s=ids_per_s)

    def selector(self) -> AudioSelector:
        config = CompressorConfig.from_profile(
            "full",
            hidden_size=int(self.thinker.get_text_config().hidden_size),
            selector=selector_config(self.thinker),
        )
        return AudioSelector(config).to(self.device).requires_grad_(False).eval()

    def text_model(self) -> tuple[PreTrainedModel, nn.Linear]:
        config = self.thinker.get_text_config()
        model = self._build(Qwen2_5OmniThinkerTextModel, config)
        sizes = (config.hidden_size, config.vocab_size)
        head = nn.Linear(*sizes, bias=False, device=self.device, dtype=self.dtype)
        return model, head.requires_grad_(False).eval()

    def chat(self) -> ChatLayout:
        return ChatLayout(byte_tokenizer(), self.thinker)

    def stock(self) -> Any:
        return self._build(Qwen2_5OmniThinkerForConditionalGeneration, self.thinker)

    def _build(self, kind: Any, config: Any) -> Any:
        with torch.device(self.device):
            model = kind._from_config(config, dtype=self.dtype, attn_implementation=ATTENTION)
        return model.requires_grad_(False).eval()


def models_of(size: str, device: torch.device, dtype: torch.dtype) -> Models:
    """Give the shipped model, or random weights in the sizes of Qwen2.5-Omni-7B.

    Args:
        size: One of `SIZES`.
        device: Of all parts.
        dtype: Of all weights but the selector's.
    """
    if size == "embedded":
        return CheckpointModels(EMBEDDED_MODEL, device, dtype)
    return RandomModels(seven_b_thinker(), device, dtype)


def seven_b_thinker() -> Qwen2_5OmniThinkerConfig:
    """Sizes of Qwen2.5-Omni-7B with the ids of the byte tokenizer."""
    config: Any = thinker_config(Geometry())
    text: Any = seven_b_config()
    text.pad_token_id = config.text_config.pad_token_id
    text.eos_token_id = config.text_config.eos_token_id
    config.text_config = text
    # the class's own default width of the vision tower, 3584, is not the published one
    for name, size in {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }.items():
        setattr(config.vision_config, name, size)
    for name, size in {
        "d_model": 1280,
        "encoder_layers": 32,
        "encoder_attention_heads": 20,
        "encoder_ffn_dim": 5120,
        "output_dim": 3584,
    }.items():
        setattr(config.audio_config, name, size)
    del config.compressor  # the published selector's sizes are the defaults
    thinker: Qwen2_5OmniThinkerConfig = config
    return thinker


__all__ = ["SIZES", "CheckpointModels", "Models", "RandomModels", "models_of", "seven_b_thinker"]
