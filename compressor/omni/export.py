"""Writes a thinker as a checkpoint in the layout of Qwen2.5-Omni: what `checkpoint` reads back.

Knows nothing of where the weights come from.
"""

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5OmniThinkerConfig

from compressor.omni.checkpoint import AUDIO_TOWER, CONFIG_FILE, HEAD, TEXT_MODEL, VISION_TOWER
from compressor.omni.shards import INDEX_FILE

# start of a name in transformers' thinker, and in published checkpoints; the first match counts,
# since "model." was the text model before the thinker got a model of its own inside
_PUBLISHED = {
    "model.audio_tower.": AUDIO_TOWER,
    "model.visual.": VISION_TOWER,
    "model.language_model.": TEXT_MODEL,
    "audio_tower.": AUDIO_TOWER,
    "visual.": VISION_TOWER,
    "model.": TEXT_MODEL,
    "lm_head.": HEAD,
}


def published_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state of transformers' thinker class as published checkpoints name it.

    Raises:
        ValueError: On a name that belongs to no part of the thinker.
    """
    return {_published_name(name): tensor for name, tensor in state.items()}


def write_checkpoint(
    folder: str | Path,
    config: Qwen2_5OmniThinkerConfig,
    tensors: Mapping[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint folder; it appears whole or not at all.

    Args:
        folder: Must not exist yet, or be empty; its parents are created.
        config: The thinker's; sizes of a selector go into its `compressor` entry.
        tensors: All weights under their published names, the selector's included.
        tokenizer: Written beside the weights.
        notes: More text files, content by name.

    Returns:
        The folder. Each part of the model has a shard of its own.

    Raises:
        FileExistsError: If the folder is not empty.
    """
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        draft.chmod(0o755)  # mkdtemp keeps others out, but replicas may run as another user
        _write_config(draft, config)
        _write_shards(draft, tensors)
        tokenizer.save_pretrained(draft)
        for name, text in (notes or {}).items():
            (draft / name).write_text(text)
        _publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _published_name(name: str) -> str:
    for start, published in _PUBLISHED.items():
        if name.startswith(start):
            return published + name.removeprefix(start)
    raise ValueError(f"{name} belongs to no part of a thinker")


def _publish(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError as exc:
        raise FileExistsError(f"{target} is not empty: remove it or choose another folder") from exc


def _write_config(folder: Path, config: Qwen2_5OmniThinkerConfig) -> None:
    content = {
        "architectures": ["Qwen2_5OmniModel"],
        "model_type": "qwen2_5_omni",
        "enable_audio_output": False,
        "thinker_config": config.to_dict(),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(content, indent=2))


def _write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        parts[_part(name)][name] = tensor.detach().cpu().contiguous()
    weight_map: dict[str, str] = {}
    for number, part in enumerate(parts.values(), start=1):
        shard = f"model-{number:05}-of-{len(parts):05}.safetensors"
        save_file(part, folder / shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, shard)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2))


def _part(name: str) -> str:
    # the head goes with the language model, which is never loaded without it
    first, second = name.split(".")[:2]
    if first != "thinker":
        return "speech"
    return "model" if second == "lm_head" else second


__all__ = ["published_names", "write_checkpoint"]
