import json
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from compressor.omni import shards
from compressor.omni.shards import locate, read_tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "model-00001-of-00002.safetensors": {
            "thinker.a.x": torch.arange(3),
            "talker.y": torch.ones(2),
        },
        "model-00002-of-00002.safetensors": {"thinker.b.z": torch.zeros(1, dtype=torch.bfloat16)},
    }
    weight_map = {}
    for shard, tensors in files.items():
        save_file(tensors, tmp_path / shard)
        weight_map |= dict.fromkeys(tensors, shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the weight files opened from here on."""
    names: list[str] = []
    real = shards.safe_open

    def spy(path: Path, **options: Any) -> Any:
        names.append(path.name)
        return real(path, **options)

    monkeypatch.setattr(shards, "safe_open", spy)
    return names


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The snapshot folder of org/model in a hub cache, on a machine without network."""
    cache = tmp_path / "hub"
    snapshot = cache / "models--org--model" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--org--model" / "refs").mkdir()
    (cache / "models--org--model" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_only_tensors_of_the_prefix_are_read(folder: Path) -> None:
    tensors = read_tensors(folder, "thinker.a.", "thinker.c.")

    assert list(tensors) == ["thinker.a.x"]
    assert tensors["thinker.a.x"].tolist() == [0, 1, 2]


def test_only_shards_with_a_wanted_tensor_are_opened(folder: Path, opened: list[str]) -> None:
    read_tensors(folder, "thinker.b.")

    assert opened == ["model-00002-of-00002.safetensors"]


def test_stored_dtype_is_kept(folder: Path) -> None:
    assert read_tensors(folder, "thinker.b.")["thinker.b.z"].dtype == torch.bfloat16


def test_no_match_is_no_error(folder: Path, opened: list[str]) -> None:
    assert read_tensors(folder, "nothing.") == {}
    assert opened == []


def test_single_file_needs_no_index(tmp_path: Path) -> None:
    save_file({"a.x": torch.ones(1), "b.x": torch.ones(1)}, tmp_path / "model.safetensors")

    assert list(read_tensors(tmp_path, "a.")) == ["a.x"]


def test_folder_without_weights_says_which_files_were_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors\.index\.json nor"):
        read_tensors(tmp_path, "a.")


def test_missing_shard_is_named(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()

    assert read_tensors(folder, "talker.")
    with pytest.raises(FileNotFoundError, match=r"00002-of-00002\.safetensors is missing"):
        read_tensors(folder, "thinker.b.")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors.index.json", "{"),
        ("model.safetensors.index.json", "{}"),
        ("model-00002-of-00002.safetensors", "cut"),
    ],
)
def test_damaged_file_is_named(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)

    with pytest.raises(ValueError, match=f"{name} is damaged"):
        read_tensors(folder, "thinker.b.")


def test_damaged_single_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 20)

    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        read_tensors(tmp_path, "a.")


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./missing", "missing", "a/b/c"])
def test_missing_folder_says_what_to_give(source: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint folder .*hub id such as"):
        locate(source, ["*.json"])


def test_hub_id_is_read_from_the_cache(hub: Path) -> None:
    save_file({"a.x": torch.ones(1)}, hub / "model.safetensors")

    assert locate("org/model", ["model.safetensors"]) == hub
    assert list(read_tensors("org/model", "a.")) == ["a.x"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("source", ["org/other", "org/no..name"])
def test_hub_id_out_of_reach_says_what_to_do(source: str) -> None:
    with pytest.raises(FileNotFoundError, match="check the name and the network") as caught:
        locate(source, ["*.json"])

    assert caught.value.__cause__ is not None
