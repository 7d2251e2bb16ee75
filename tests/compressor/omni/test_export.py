import json
import stat
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from compressor.omni.checkpoint import load_text_model, load_vision_tower
from compressor.omni.export import published_names, write_checkpoint
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tokenizer import byte_tokenizer

SMALL = Geometry(hidden_size=32, num_layers=1, mlp_size=32, audio_size=48, vision_size=48)


@pytest.fixture(scope="module")
def thinker() -> Qwen2_5OmniThinkerForConditionalGeneration:
    return Qwen2_5OmniThinkerForConditionalGeneration(thinker_config(SMALL))


def write(folder: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration) -> Path:
    tensors = published_names(thinker.state_dict())
    return write_checkpoint(folder, thinker.config, tensors, byte_tokenizer(), {"a.txt": "b"})


def test_written_model_is_read_back(
    tmp_path: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    folder = write(tmp_path / "new" / "model", thinker)

    model, head = load_text_model(folder)
    vision = load_vision_tower(folder)

    assert torch.equal(head.weight, thinker.lm_head.weight)
    expected = published_names(thinker.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[f"thinker.model.{name}"])
    for name, value in vision.state_dict().items():
        assert torch.equal(value, expected[f"thinker.visual.{name}"])
    assert (folder / "a.txt").read_text() == "b"


def test_index_counts_all_bytes(
    tmp_path: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    folder = write(tmp_path / "model", thinker)

    index = json.loads((folder / "model.safetensors.index.json").read_text())

    assert index["metadata"]["total_size"] == 4 * sum(p.numel() for p in thinker.parameters())
    assert {*index["weight_map"].values()} == {path.name for path in folder.glob("*.safetensors")}


def test_folder_with_content_is_never_touched(
    tmp_path: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    (tmp_path / "mine").write_text("keep")

    with pytest.raises(FileExistsError, match="remove it or choose another folder"):
        write(tmp_path, thinker)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}-*"))


def test_failed_write_leaves_nothing(
    tmp_path: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    tensors = {"thinker.model.x": torch.empty(1, device="meta")}

    with pytest.raises(NotImplementedError):
        write_checkpoint(tmp_path / "model", thinker.config, tensors, byte_tokenizer())

    assert list(tmp_path.iterdir()) == []


def test_others_may_read_it(
    tmp_path: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    folder = write(tmp_path / "model", thinker)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("model.audio_tower.conv1.bias", "thinker.audio_tower.conv1.bias"),
        ("model.visual.blocks.0.x", "thinker.visual.blocks.0.x"),
        ("model.language_model.norm.weight", "thinker.model.norm.weight"),
        ("audio_tower.conv1.bias", "thinker.audio_tower.conv1.bias"),
        ("visual.blocks.0.x", "thinker.visual.blocks.0.x"),
        ("model.norm.weight", "thinker.model.norm.weight"),
        ("lm_head.weight", "thinker.lm_head.weight"),
    ],
)
def test_names_of_all_versions_of_transformers_are_known(name: str, published: str) -> None:
    assert list(published_names({name: torch.ones(1)})) == [published]


def test_name_of_no_part_is_refused() -> None:
    with pytest.raises(ValueError, match=r"extra\.weight belongs to no part"):
        published_names({"extra.weight": torch.ones(1)})
