"""Checkpoints laid out like Qwen's and OmniSIFT's own load like ours do."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from torch import nn

from compressor.omni.chat import ChatLayout
from compressor.omni.checkpoint import (
    SELECTOR,
    load_audio_tower,
    load_config,
    load_selector_state,
    load_text_model,
    load_tokenizer,
    load_vision_tower,
    selector_config,
)
from compressor.omni.tiny import tiny_tensors
from tests.compressor.omni.published import GEOMETRY, write_published

COMMIT = "0" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published") / "omni")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> Path:
    """A hub cache without network that holds org/omni, as links to blobs; gives its snapshot."""
    model = tmp_path / "models--org--omni"
    snapshot = model / "snapshots" / COMMIT
    for part in (snapshot, model / "blobs", model / "refs"):
        part.mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        blob = model / "blobs" / f"blob-of-{file.name}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def shards_of(folder: Path, prefix: str) -> set[str]:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    return {shard for name, shard in index.items() if name.startswith(prefix)}


def assert_equal_weights(ours: nn.Module, theirs: nn.Module) -> None:
    state, expected = ours.state_dict(), theirs.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_shards_hold_parts_of_several_modules(folder: Path) -> None:
    talker = shards_of(folder, "talker.")

    assert talker & shards_of(folder, "thinker.")
    assert len(shards_of(folder, "thinker.")) > 3


def test_every_part_equals_that_of_our_own_layout(folder: Path, tiny_folder: Path) -> None:
    for load in (load_audio_tower, load_vision_tower):
        assert_equal_weights(load(folder), load(tiny_folder))
    for part, expected in zip(load_text_model(folder), load_text_model(tiny_folder), strict=True):
        assert_equal_weights(part, expected)
    stored, expected_state = load_selector_state(folder), load_selector_state(tiny_folder)
    assert stored is not None
    assert expected_state is not None
    assert all(torch.equal(stored[name], expected_state[name]) for name in expected_state)


def test_old_spelling_of_rotary_settings_means_the_same(folder: Path, tiny_folder: Path) -> None:
    models = [load_text_model(source)[0] for source in (folder, tiny_folder)]
    generator = torch.Generator().manual_seed(0)
    embeds = torch.randn(1, 9, GEOMETRY.hidden_size, generator=generator)
    ids = torch.randint(0, 5000, (3, 1, 9), generator=generator)

    with torch.no_grad():
        hidden = [
            model(inputs_embeds=embeds, position_ids=ids).last_hidden_state for model in models
        ]

    assert torch.equal(*hidden)
    assert models[0].config.rope_parameters["mrope_section"] == [8, 4, 4]


def test_tokenizer_without_its_fast_file_is_the_same(folder: Path, tiny_folder: Path) -> None:
    ours, theirs = (
        ChatLayout(load_tokenizer(source), load_config(source)) for source in (folder, tiny_folder)
    )

    messages = [("user", "What is <|im_end|> é?")]
    assert ours.header() == theirs.header()
    assert ours.tail(messages) == theirs.tail(messages)
    assert ours.stop_ids == theirs.stop_ids
    assert torch.equal(ours.allowed_ids(), theirs.allowed_ids())


def test_bfloat16_is_kept_as_stored(tmp_path: Path) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in tiny_tensors(0, GEOMETRY).items()}

    model, head = load_text_model(write_published(tmp_path / "half", tensors), torch.bfloat16)

    assert torch.equal(head.weight, tensors["thinker.lm_head.weight"])
    name = "layers.1.self_attn.q_proj.weight"
    assert torch.equal(model.state_dict()[name], tensors[f"thinker.model.{name}"])


def test_tied_checkpoint_shares_the_embedding(tmp_path: Path) -> None:
    tensors = tiny_tensors(0, GEOMETRY)
    del tensors["thinker.lm_head.weight"]

    model, head = load_text_model(write_published(tmp_path / "tied", tensors))

    assert head.weight.data_ptr() == model.embed_tokens.weight.data_ptr()


def test_checkpoint_without_a_selector_has_the_published_sizes(tmp_path: Path) -> None:
    tensors = {
        name: tensor
        for name, tensor in tiny_tensors(0, GEOMETRY).items()
        if not name.startswith(SELECTOR)
    }
    plain = write_published(tmp_path / "plain", tensors)
    config = json.loads((plain / "config.json").read_text())
    del config["thinker_config"]["compressor"]
    (plain / "config.json").write_text(json.dumps(config))

    assert load_selector_state(plain) is None
    assert selector_config(load_config(plain)).width == 512


def test_hub_id_needs_only_the_shards_of_a_part(hub: Path, tiny_folder: Path) -> None:
    for shard in shards_of(hub, "") - shards_of(hub, "thinker.audio_tower."):
        (hub / shard).unlink()

    assert_equal_weights(load_audio_tower("org/omni"), load_audio_tower(tiny_folder))
    assert load_tokenizer("org/omni").encode("é") == [0xC3, 0xA9]


def test_shard_that_was_never_fetched_is_named(hub: Path) -> None:
    missing = sorted(shards_of(hub, "thinker.visual."))[0]
    (hub / missing).unlink()

    with pytest.raises(FileNotFoundError, match=f"{missing} is missing"):
        load_vision_tower("org/omni")


@pytest.mark.usefixtures("hub")
def test_hub_id_out_of_reach_is_told_apart_from_a_damaged_one() -> None:
    for load in (load_config, load_tokenizer, load_text_model):
        with pytest.raises(FileNotFoundError, match="check the name and the network"):
            load("org/absent")
