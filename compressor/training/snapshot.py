"""Files of a run: a snapshot to go on from, and the checkpoint that is shipped.

Knows nothing about training.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from compressor.omni.export import write_checkpoint
from compressor.omni.geometry import thinker_config
from compressor.training.student import Student

SNAPSHOT_FILE = "snapshot.safetensors"


def save_snapshot(path: Path, student: Student) -> None:
    """Write all weights, those of the training-only heads included; replaces the file whole."""
    tensors = {name: tensor.contiguous() for name, tensor in _parts(student).items()}
    draft = path.with_suffix(".draft")
    save_file(tensors, draft, metadata={k: str(v) for k, v in asdict(student.geometry).items()})
    draft.replace(path)


def load_snapshot(path: Path, student: Student) -> None:
    """Read weights into a student of the same geometry; heads may be missing.

    Raises:
        ValueError: If the file is of another geometry.
    """
    stored, own = load_file(path), _parts(student)
    shipped = {name for name in own if name.startswith("thinker.")}
    if not shipped <= stored.keys() <= own.keys():
        raise ValueError(f"{path} holds other tensors than this student has")
    with torch.no_grad():
        for name, tensor in stored.items():
            own[name].copy_(tensor)


def export(
    folder: Path,
    student: Student,
    tokenizer: PreTrainedTokenizerBase,
    notes: dict[str, str],
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write the checkpoint that the service loads; see `write_checkpoint`."""
    tensors = student.thinker.state_dict().items()
    rounded = {f"thinker.{name}": tensor.to(dtype) for name, tensor in tensors}
    return write_checkpoint(folder, thinker_config(student.geometry), rounded, tokenizer, notes)


def _parts(student: Student) -> dict[str, Tensor]:
    parts = {
        "thinker": student.thinker,
        "heads": student.heads,
        "binding": student.binding,
    }
    return {
        f"{part}.{name}": parameter.data
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
    }


__all__ = ["SNAPSHOT_FILE", "export", "load_snapshot", "save_snapshot"]
