"""The model under examination, loaded from a checkpoint folder.

Knows nothing about methods or questions.
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from compressor.omni.chat import ChatLayout
from compressor.omni.checkpoint import load_config, load_tokenizer, selector_config
from compressor.omni.geometry import Geometry
from compressor.omni.int8 import to_int8
from compressor.omni.shards import read_tensors
from compressor.training.student import Student


def load_examinee(
    folder: Path, text_weights: Path | None = None, *, int8_weights: bool = False
) -> Student:
    """Load a small thinker with its selector, in float32.

    Args:
        folder: A checkpoint that `compressor.training` exported.
        text_weights: Replaces the text model and its head: a safetensors file with their tensors
            under the names of the checkpoint, less the leading `thinker.`.
        int8_weights: Whether the text model's layers then hold their weights as int8.

    Raises:
        FileNotFoundError: If the checkpoint is missing.
        ValueError: If it is damaged.
        RuntimeError: If tensors do not fit the config.
    """
    student = Student(geometry_of(load_config(folder)))
    tensors = read_tensors(folder, "thinker.").items()
    state = {name.removeprefix("thinker."): tensor.float() for name, tensor in tensors}
    if text_weights is not None:
        state |= {name: tensor.float() for name, tensor in load_file(text_weights).items()}
    student.thinker.load_state_dict(state)
    if int8_weights:
        to_int8(student.thinker.model)
    return student.eval().requires_grad_(False)


def load_layout(folder: Path) -> ChatLayout:
    """Load the chat layout that goes with a checkpoint."""
    return ChatLayout(load_tokenizer(folder), load_config(folder))


def geometry_of(config: Any) -> Geometry:
    """Read the sizes of a thinker out of its config."""
    text, audio, vision = config.get_text_config(), config.audio_config, config.vision_config
    selector = selector_config(config)
    return Geometry(
        hidden_size=text.hidden_size,
        num_layers=text.num_hidden_layers,
        num_heads=text.num_attention_heads,
        num_kv_heads=text.num_key_value_heads,
        mlp_size=text.intermediate_size,
        rope_theta=text.rope_parameters["rope_theta"],
        vocab_size=text.vocab_size,
        audio_size=audio.d_model,
        audio_layers=audio.encoder_layers,
        audio_heads=audio.encoder_attention_heads,
        vision_size=vision.hidden_size,
        vision_layers=vision.depth,
        vision_heads=vision.num_heads,
        selector_size=selector.width,
        selector_heads=selector.heads,
    )


__all__ = ["geometry_of", "load_examinee", "load_layout"]
