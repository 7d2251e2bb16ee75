"""A stand-in checkpoint: random weights in the real layout, the same on every machine.

It serves wherever no trained model is at hand. Its answers mean nothing; everything else about it
is as in a published checkpoint, the parts for speech output included.
"""

import json
from dataclasses import asdict
from math import prod, sqrt
from pathlib import Path

import torch
from torch import Tensor
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig
from compressor.omni.checkpoint import SELECTOR, selector_config
from compressor.omni.export import published_names, write_checkpoint
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tokenizer import byte_tokenizer

RECIPE_FILE = "recipe.json"
RECIPE_VERSION = 1  # raise it when other weights come out of the same seed

# with the usual 0.02 attention is almost uniform, and mistakes hardly change a result
WEIGHT_SCALE = 1.5
VECTOR_SCALE = 0.05


def write_tiny_checkpoint(
    folder: str | Path, seed: int = 0, geometry: Geometry | None = None
) -> Path:
    """Write the stand-in checkpoint, unless the folder holds this very one.

    Safe to call from several processes at once.

    Args:
        folder: Where to; its parents are created.
        seed: Same seed and sizes: same bytes.
        geometry: Sizes; None for the defaults.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds something else.
        ValueError: If the sizes do not fit together.
    """
    geometry = geometry or Geometry()
    recipe = _recipe(seed, geometry)
    if _holds(Path(folder), recipe):
        return Path(folder)
    try:
        return write_checkpoint(
            folder,
            thinker_config(geometry),
            tiny_tensors(seed, geometry),
            byte_tokenizer(),
            notes={RECIPE_FILE: recipe},
        )
    except FileExistsError:
        # another process may have been faster
        if _holds(Path(folder), recipe):
            return Path(folder)
        raise


def tiny_tensors(seed: int, geometry: Geometry) -> dict[str, Tensor]:
    """Draw all weights of the stand-in, fp32, under their published names."""
    generator = torch.Generator().manual_seed(seed)
    shapes = sorted(_shapes(geometry).items())
    return {name: _draw(name, shape, generator) for name, shape in shapes}


def _recipe(seed: int, geometry: Geometry) -> str:
    content = {"version": RECIPE_VERSION, "seed": seed, "geometry": asdict(geometry)}
    return json.dumps(content, indent=2, sort_keys=True)


def _holds(folder: Path, recipe: str) -> bool:
    path = folder / RECIPE_FILE
    return path.exists() and path.read_text() == recipe


def _draw(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return noise * (WEIGHT_SCALE / sqrt(prod(shape[1:])))
    # vectors are biases, which centre on zero, or scales of norms, which centre on one
    return noise * VECTOR_SCALE + (0.0 if name.endswith("bias") else 1.0)


def _shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    config = thinker_config(geometry)
    with torch.device("meta"):
        thinker = Qwen2_5OmniThinkerForConditionalGeneration(config)
    selector = AudioSelector(
        CompressorConfig.from_profile(
            "full", hidden_size=geometry.hidden_size, selector=selector_config(config)
        )
    )
    tensors = published_names(thinker.state_dict())
    tensors |= {f"{SELECTOR}{name}": tensor for name, tensor in selector.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    # a loader must pass over these
    return shapes | {
        "talker.model.norm.weight": (4,),
        "token2wav.code2wav_dit_model.proj.weight": (4, 4),
    }


__all__ = [
    "RECIPE_FILE",
    "RECIPE_VERSION",
    "VECTOR_SCALE",
    "WEIGHT_SCALE",
    "tiny_tensors",
    "write_tiny_checkpoint",
]
