"""Sizes of a small Qwen2.5-Omni thinker, and the config they make. Knows nothing about weights."""

from dataclasses import dataclass
from typing import Any

from transformers import Qwen2_5OmniThinkerConfig

from compressor.omni.tokenizer import SPECIAL_IDS, SPECIAL_TOKENS


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a thinker that runs on a CPU; the defaults make 1.8 M parameters.

    What makes it a Qwen2.5-Omni is fixed: 14 px patches merged 2 by 2, two frames per grid, 128 mel
    bins, 2 s audio blocks, 25 ids per second.

    Attributes:
        hidden_size: Width of the text model, to which both towers project.
        num_layers: Layers of the text model.
        num_heads: Its query heads; the width of a head is a multiple of 4.
        num_kv_heads: Its key and value heads.
        mlp_size: Inner width of its MLP.
        rope_theta: Base of its rotary embedding.
        vocab_size: Rows of the embedding; at least the tokenizer's length.
        audio_size: Width of the audio tower.
        audio_layers: Its layers.
        audio_heads: Its heads.
        vision_size: Width of the vision tower.
        vision_layers: Its layers; the second and the last attend to the whole grid, the others
            within windows of 112 px.
        vision_heads: Its heads.
        selector_size: Width of the audio selector.
        selector_heads: Its heads.
    """

    hidden_size: int = 128
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    mlp_size: int = 384
    rope_theta: float = 1e5
    vocab_size: int = 320
    audio_size: int = 96
    audio_layers: int = 2
    audio_heads: int = 3
    vision_size: int = 96
    vision_layers: int = 4
    vision_heads: int = 3
    selector_size: int = 64
    selector_heads: int = 4


def thinker_config(
    geometry: Geometry, quiet_score: float = 0.0, trained_stream_s: float | None = None
) -> Qwen2_5OmniThinkerConfig:
    """Build the config of a thinker of these sizes, with the ids of `byte_tokenizer`.

    Args:
        geometry: The sizes.
        quiet_score: What the audio selector's scores mean; see `SelectorConfig`.
        trained_stream_s: Length of the longest stream trained with; None: not told.

    Raises:
        ValueError: If heads do not divide a width, or a head's width is no multiple of 4.
    """
    _check(geometry)
    ids = {role: SPECIAL_IDS[name] for role, name in SPECIAL_TOKENS.items()}
    fields: dict[str, Any] = {
        "audio_config": _audio_config(geometry),
        "vision_config": _vision_config(geometry),
        "text_config": _text_config(geometry),
        "audio_token_index": ids["audio_token"],
        "image_token_index": ids["image_token"],
        "video_token_index": ids["video_token"],
        "audio_start_token_id": ids["audio_bos_token"],
        "audio_end_token_id": ids["audio_eos_token"],
        # not declared by the class, but read by its get_rope_index and present in real configs
        "vision_start_token_id": ids["vision_bos_token"],
        "vision_end_token_id": ids["vision_eos_token"],
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "compressor": {
            "selector_size": geometry.selector_size,
            "num_heads": geometry.selector_heads,
            "quiet_score": quiet_score,
        },
    }
    if trained_stream_s is not None:
        fields["trained_stream_s"] = trained_stream_s
    return Qwen2_5OmniThinkerConfig(**fields)


def _check(geometry: Geometry) -> None:
    pairs = {
        "hidden_size": (geometry.hidden_size, geometry.num_heads),
        "audio_size": (geometry.audio_size, geometry.audio_heads),
        "vision_size": (geometry.vision_size, geometry.vision_heads),
        "selector_size": (geometry.selector_size, geometry.selector_heads),
        "num_heads": (geometry.num_heads, geometry.num_kv_heads),
    }
    for name, (size, heads) in pairs.items():
        if size % heads:
            raise ValueError(f"{name} is {size}, not a multiple of {heads}")
    for name in ("hidden_size", "vision_size"):
        size, heads = pairs[name]
        if size // heads % 4:
            raise ValueError(f"{name} gives heads of width {size // heads}, not a multiple of 4")


def _audio_config(geometry: Geometry) -> dict[str, object]:
    return {
        "num_mel_bins": 128,
        "n_window": 100,
        "max_source_positions": 1500,
        "d_model": geometry.audio_size,
        "encoder_layers": geometry.audio_layers,
        "encoder_attention_heads": geometry.audio_heads,
        "encoder_ffn_dim": 2 * geometry.audio_size,
        "output_dim": geometry.hidden_size,
    }


def _vision_config(geometry: Geometry) -> dict[str, object]:
    return {
        "in_channels": 3,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": sorted({1, geometry.vision_layers - 1}),
        "depth": geometry.vision_layers,
        "hidden_size": geometry.vision_size,
        "intermediate_size": 2 * geometry.vision_size,
        "num_heads": geometry.vision_heads,
        "out_hidden_size": geometry.hidden_size,
    }


def _text_config(geometry: Geometry) -> dict[str, object]:
    return {
        "vocab_size": geometry.vocab_size,
        "hidden_size": geometry.hidden_size,
        "intermediate_size": geometry.mlp_size,
        "num_hidden_layers": geometry.num_layers,
        "num_attention_heads": geometry.num_heads,
        "num_key_value_heads": geometry.num_kv_heads,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": SPECIAL_IDS[SPECIAL_TOKENS["im_end_token"]],
        "pad_token_id": SPECIAL_IDS[SPECIAL_TOKENS["pad_token"]],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": geometry.rope_theta,
            "mrope_section": _mrope_section(geometry),
        },
    }


def _mrope_section(geometry: Geometry) -> list[int]:
    # half of the frequencies follow time, a quarter each row and column
    half = geometry.hidden_size // geometry.num_heads // 2
    space = half // 4
    return [half - 2 * space, space, space]


__all__ = ["Geometry", "thinker_config"]
