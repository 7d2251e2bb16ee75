"""Files of a run: what it starts from, snapshots to go on from, the checkpoint that is shipped.

Knows nothing about training.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from compressor.omni.checkpoint import load_tokenizer
from compressor.omni.export import write_checkpoint
from compressor.omni.geometry import thinker_config
from compressor.omni.shards import read_tensors
from compressor.training.schedule import LONGEST_S
from compressor.training.selection import QUIET_SCORE
from compressor.training.student import Student
from compressor.training.trainer import Place

SNAPSHOT_FILE = "snapshot.safetensors"
PLACE_FILE = "place.safetensors"
_MOMENT = "optimiser."
_TEXT = ("model.", "lm_head.")
_BY_WORD = ("thinker.model.embed_tokens.weight", "thinker.lm_head.weight")  # a row per token


def save_place(path: Path, student: Student, stage: int, place: Place) -> None:
    """Write all that a cut run needs to go on; replaces the file whole.

    Args:
        path: Where to.
        student: With all its weights.
        stage: Number of the stage within its plan.
        place: Within the stage.
    """
    tensors = {name: tensor.contiguous() for name, tensor in _parts(student).items()}
    tensors |= {f"{_MOMENT}{name}": tensor for name, tensor in place.moments.items()}
    numbers = {
        "stage": str(stage),
        "steps_before": str(place.steps_before),
        "number": str(place.number),
        "elapsed_s": repr(place.elapsed_s),
    }
    draft = path.with_suffix(".draft")
    save_file(tensors, draft, metadata=numbers)
    draft.replace(path)


def load_place(path: Path, student: Student) -> tuple[int, Place]:
    """Read weights into a student, and return the stage and the place within it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another geometry.
    """
    tensors: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    with safe_open(path, "pt") as file:
        numbers = file.metadata()
        names: list[str] = file.keys()
        for name in names:
            into = moments if name.startswith(_MOMENT) else tensors
            into[name.removeprefix(_MOMENT)] = file.get_tensor(name)
    _copy(path, tensors, student)
    place = Place(
        int(numbers["steps_before"]), int(numbers["number"]), float(numbers["elapsed_s"]), moments
    )
    return int(numbers["stage"]), place


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
    _copy(path, load_file(path), student)


def _copy(path: Path, stored: dict[str, Tensor], student: Student) -> None:
    own = _parts(student)
    shipped = {name for name in own if name.startswith("thinker.")}
    if not shipped <= stored.keys() <= own.keys():
        raise ValueError(f"{path} holds other tensors than this student has")
    with torch.no_grad():
        for name, tensor in stored.items():
            own[name].copy_(tensor)


def load_checkpoint(folder: Path, student: Student, tokenizer: PreTrainedTokenizerBase) -> None:
    """Start from an exported checkpoint, whose vocabulary may be another.

    Rows of the embedding and of the head go by what their token says; tokens that the checkpoint
    does not know, and the training-only heads, stay as they are.

    Raises:
        FileNotFoundError: If the checkpoint is missing.
        ValueError: If it is of another geometry.
    """
    known, own = load_tokenizer(folder).get_vocab(), _parts(student)
    rows = [(new, known[text]) for text, new in tokenizer.get_vocab().items() if text in known]
    new, old = (torch.tensor(column) for column in zip(*rows, strict=True))
    for name, tensor in read_tensors(folder, "thinker.").items():
        by_word = name in _BY_WORD
        if own[name].shape[by_word:] != tensor.shape[by_word:]:
            raise ValueError(f"{name} is {list(tensor.shape)}, not {list(own[name].shape)}")
        if by_word:
            own[name][new] = tensor.float()[old]
        else:
            own[name].copy_(tensor)


def export(
    folder: Path,
    student: Student,
    tokenizer: PreTrainedTokenizerBase,
    notes: dict[str, str],
    dtype: torch.dtype = torch.float16,
    quiet_score: float = QUIET_SCORE,
    trained_stream_s: float = LONGEST_S,
) -> Path:
    """Write the checkpoint that the service loads; see `write_checkpoint`.

    Args:
        folder: See `write_checkpoint`.
        student: Whose weights.
        tokenizer: See `write_checkpoint`.
        notes: See `write_checkpoint`.
        dtype: Of the weights as written.
        quiet_score: Score below which the live profiles drop audio; 0 for a selector that was not
            trained to tell events from background.
        trained_stream_s: Length of the longest clip that the student was trained with.
    """
    tensors = student.thinker.state_dict().items()
    rounded = {f"thinker.{name}": tensor.to(dtype) for name, tensor in tensors}
    config = thinker_config(student.geometry, quiet_score, trained_stream_s)
    return write_checkpoint(folder, config, rounded, tokenizer, notes)


def export_text(path: Path, student: Student, dtype: torch.dtype = torch.float16) -> None:
    """Write the text model and its head alone, as `load_examinee` takes them."""
    tensors = student.thinker.state_dict().items()
    text = {name: tensor.to(dtype) for name, tensor in tensors if name.startswith(_TEXT)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(text, path)


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


__all__ = [
    "PLACE_FILE",
    "SNAPSHOT_FILE",
    "export",
    "export_text",
    "load_checkpoint",
    "load_place",
    "load_snapshot",
    "save_place",
    "save_snapshot",
]
