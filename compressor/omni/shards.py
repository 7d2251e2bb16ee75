"""Tensors of a checkpoint by the start of their names. Knows nothing about models.

A checkpoint is a folder, or a hub id such as `Qwen/Qwen2.5-Omni-7B`; only the files asked for are
downloaded, and only the shards that hold a wanted tensor are opened.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from torch import Tensor

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def locate(source: str | Path, patterns: list[str]) -> Path:
    """Return the folder that holds these files of a checkpoint, downloading them if need be.

    Args:
        source: A folder, or a hub id.
        patterns: File names or globs; only these are downloaded. No matter for a folder.

    Raises:
        FileNotFoundError: If it is neither a folder nor a hub id that can be reached.
    """
    if Path(source).is_dir():
        return Path(source)
    if not _HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(
            f"no checkpoint folder {source}: give an existing folder or a hub id such as "
            "Qwen/Qwen2.5-Omni-7B"
        )
    try:
        return Path(snapshot_download(str(source), allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as exc:
        raise FileNotFoundError(
            f"{source} is no folder, and it cannot be fetched from the hub either "
            f"({type(exc).__name__}): check the name and the network, or download the checkpoint "
            "elsewhere and give its folder"
        ) from exc


def read_tensors(source: str | Path, *prefixes: str) -> dict[str, Tensor]:
    """Read the tensors whose names start with one of the prefixes, under their stored names.

    Args:
        source: A folder, or a hub id.
        prefixes: For instance `thinker.visual.`.

    Returns:
        Tensors on the CPU in their stored dtype; empty if no name matches.

    Raises:
        FileNotFoundError: If there are no weights, or a shard that the index names is missing.
        ValueError: If a file is damaged.
    """
    names_by_shard: dict[str, list[str]] = defaultdict(list)
    for name, shard in _weight_map(source).items():
        if name.startswith(prefixes):
            names_by_shard[shard].append(name)
    folder = locate(source, sorted(names_by_shard)) if names_by_shard else Path()
    tensors: dict[str, Tensor] = {}
    for shard, names in names_by_shard.items():
        tensors |= _read(folder / shard, names)
    return tensors


def _weight_map(source: str | Path) -> dict[str, str]:
    folder = locate(source, [INDEX_FILE])
    if (folder / INDEX_FILE).exists():
        return _read_index(folder / INDEX_FILE)
    folder = locate(source, [SINGLE_FILE])
    if (folder / SINGLE_FILE).exists():
        return dict.fromkeys(_names(folder / SINGLE_FILE), SINGLE_FILE)
    raise FileNotFoundError(
        f"no weights in {folder}: neither {INDEX_FILE} nor {SINGLE_FILE} is there"
    )


def _read_index(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text())["weight_map"])
    except (ValueError, KeyError) as exc:
        raise ValueError(f"{path} is damaged ({exc!r}): copy or download it again") from exc


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except SafetensorError as exc:
        raise ValueError(f"{path} is damaged ({exc}): copy or download it again") from exc


def _read(path: Path, names: list[str]) -> dict[str, Tensor]:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing, though the index names it: copy or download it again"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as exc:
        raise ValueError(f"{path} is damaged ({exc}): copy or download it again") from exc


__all__ = ["INDEX_FILE", "SINGLE_FILE", "locate", "read_tensors"]
