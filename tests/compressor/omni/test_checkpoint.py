import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Qwen2_5OmniThinkerForConditionalGeneration
from transformers.utils import logging as transformers_logging

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, SelectorConfig
from compressor.omni.checkpoint import (
    load_audio_tower,
    load_config,
    load_selector_state,
    load_text_model,
    load_tokenizer,
    load_vision_tower,
    selector_config,
    trained_ids,
)
from compressor.omni.int8 import Int8Linear


@pytest.fixture(scope="module")
def thinker(tiny_folder: Path) -> Qwen2_5OmniThinkerForConditionalGeneration:
    """The whole thinker, loaded by transformers itself."""
    return Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(tiny_folder)


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def shard_of(folder: Path, name: str) -> Path:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return folder / index["weight_map"][name]


def part(thinker: Qwen2_5OmniThinkerForConditionalGeneration, name: str) -> nn.Module:
    """A part of the thinker, in the layout of this or an earlier transformers."""
    if hasattr(thinker.model, name):
        return getattr(thinker.model, name)
    return thinker.model if name == "language_model" else getattr(thinker, name)


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    state, expected = ours.state_dict(), theirs.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    buffers, expected_buffers = dict(ours.named_buffers()), dict(theirs.named_buffers())
    assert buffers.keys() == expected_buffers.keys()
    assert all(torch.equal(buffers[name], expected_buffers[name]) for name in expected_buffers)


def test_audio_tower_equals_that_of_the_whole_thinker(
    tiny_folder: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    assert_same(load_audio_tower(tiny_folder), part(thinker, "audio_tower"))


def test_vision_tower_equals_that_of_the_whole_thinker(
    tiny_folder: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    assert_same(load_vision_tower(tiny_folder), part(thinker, "visual"))


def test_text_model_and_head_equal_those_of_the_whole_thinker(
    tiny_folder: Path, thinker: Qwen2_5OmniThinkerForConditionalGeneration
) -> None:
    model, head = load_text_model(tiny_folder)

    assert_same(model, part(thinker, "language_model"))
    assert torch.equal(head.weight, thinker.lm_head.weight)


def test_models_are_ready_for_inference(tiny_folder: Path) -> None:
    model, head = load_text_model(tiny_folder, torch.bfloat16)

    for part in (load_vision_tower(tiny_folder, torch.bfloat16), model, head):
        assert not part.training
        assert all(weight.dtype == torch.bfloat16 for weight in part.parameters())
        assert not any(weight.requires_grad for weight in part.parameters())
    # rotary frequencies lose their meaning in bf16
    assert model.rotary_emb.inv_freq.dtype == torch.float32


def test_layers_may_hold_their_weights_as_int8(tiny_folder: Path) -> None:
    dense, dense_head = load_text_model(tiny_folder)
    model, head = load_text_model(tiny_folder, int8_weights=True)

    inputs = torch.randn(1, 20, model.config.hidden_size)
    expected, found = (one(inputs_embeds=inputs).last_hidden_state for one in (dense, model))
    assert isinstance(model.layers[0].mlp.down_proj, Int8Linear)
    assert torch.equal(model.embed_tokens.weight, dense.embed_tokens.weight)
    assert torch.equal(head.weight, dense_head.weight)
    assert not torch.equal(found, expected)
    assert (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(
    ("load", "tensor"),
    [
        (load_audio_tower, "thinker.audio_tower.conv1.weight"),
        (load_vision_tower, "thinker.visual.patch_embed.proj.weight"),
        (load_text_model, "thinker.lm_head.weight"),
        (load_selector_state, "thinker.compressor.v_proj.weight"),
    ],
)
def test_each_part_needs_no_shard_but_its_own(
    load: Callable[[Path], object], tensor: str, copy: Path
) -> None:
    wanted = shard_of(copy, tensor)
    for shard in copy.glob("*.safetensors"):
        if shard != wanted:
            shard.unlink()

    assert load(copy) is not None


def test_single_file_checkpoint_loads(copy: Path, tiny_folder: Path) -> None:
    tensors = {}
    for shard in copy.glob("*.safetensors"):
        tensors |= load_file(shard)
        shard.unlink()
    (copy / "model.safetensors.index.json").unlink()
    save_file(tensors, copy / "model.safetensors")

    assert_same(load_audio_tower(copy), load_audio_tower(tiny_folder))


def test_checkpoint_without_a_head_is_tied(copy: Path) -> None:
    shard = shard_of(copy, "thinker.lm_head.weight")
    tensors = load_file(shard)
    del tensors["thinker.lm_head.weight"]
    save_file(tensors, shard)
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    del index["weight_map"]["thinker.lm_head.weight"]
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))

    model, head = load_text_model(copy)

    assert head.weight.data_ptr() == model.embed_tokens.weight.data_ptr()


def test_selector_is_read_under_its_own_names(tiny_folder: Path) -> None:
    state = load_selector_state(tiny_folder)

    assert state is not None
    assert state["v_proj.weight"].shape == (64, 128)
    assert state["cross_attn.in_proj_weight"].shape == (192, 64)


def test_checkpoint_without_a_selector_has_none(copy: Path) -> None:
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    kept = {k: v for k, v in index["weight_map"].items() if ".compressor." not in k}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": kept}))

    assert load_selector_state(copy) is None


def test_config_is_the_thinkers(tiny_folder: Path) -> None:
    config = load_config(tiny_folder)

    assert config.get_text_config().hidden_size == 128
    assert config.position_id_per_seconds == 25
    assert config.vision_start_token_id == 262


def test_selector_sizes_come_from_the_config(tiny_folder: Path) -> None:
    sizes = selector_config(load_config(tiny_folder))

    assert (sizes.width, sizes.heads, sizes.head_width) == (64, 4, 32)


@pytest.mark.parametrize(("entry", "expected"), [({}, 0.0), ({"quiet_score": 0.3}, 0.3)])
def test_what_is_quiet_is_the_checkpoints_to_say(
    tiny_folder: Path, entry: dict[str, float], expected: float
) -> None:
    config = load_config(tiny_folder)
    config.compressor = {"selector_size": 64, "num_heads": 4, **entry}

    assert selector_config(config).quiet_score == expected


def test_length_trained_with_is_the_checkpoints_to_say(tiny_folder: Path) -> None:
    config = load_config(tiny_folder)
    assert trained_ids(config) is None

    config.trained_stream_s = 60

    assert trained_ids(config) == 60 * 25


@pytest.mark.parametrize("value", [0, -1.0, "60"])
def test_length_trained_with_that_is_none_is_refused(tiny_folder: Path, value: object) -> None:
    config = load_config(tiny_folder)
    config.trained_stream_s = value

    with pytest.raises(ValueError, match="trained_stream_s must be seconds above 0"):
        trained_ids(config)


def test_selector_sizes_default_to_the_published_ones(tiny_folder: Path) -> None:
    config = load_config(tiny_folder)
    del config.compressor

    assert selector_config(config) == SelectorConfig(width=512, heads=8, head_width=256)


@pytest.mark.parametrize(
    "entry", [{}, {"selector_size": 64}, {"selector_size": 64, "num_heads": 5}]
)
def test_selector_sizes_that_make_no_selector_are_refused(
    tiny_folder: Path, entry: dict[str, int]
) -> None:
    config = load_config(tiny_folder)
    config.compressor = entry

    with pytest.raises(ValueError, match="must"):
        selector_config(config)


def test_selector_fits_the_compressors(tiny_folder: Path) -> None:
    config = load_config(tiny_folder)
    state = load_selector_state(tiny_folder)
    assert state is not None

    size = config.get_text_config().hidden_size
    selector = AudioSelector(
        CompressorConfig.from_profile("full", hidden_size=size, selector=selector_config(config))
    )

    selector.load_state_dict(state, strict=True)


def test_tokenizer_is_the_checkpoints(tiny_folder: Path) -> None:
    tokenizer = load_tokenizer(tiny_folder)

    assert tokenizer.encode("é<|im_end|>") == [0xC3, 0xA9, 258]


def test_missing_folder_is_named() -> None:
    for load in (load_config, load_tokenizer, load_audio_tower, load_text_model):
        with pytest.raises(FileNotFoundError, match="no checkpoint folder /nowhere"):
            load("/nowhere")


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config.json in .*"):
        load_vision_tower(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"model_type": "llama"}',
        '{"model_type": "qwen2_5_omni_thinker", "vision_config": 3}',
    ],
)
def test_config_of_something_else_is_refused(copy: Path, content: str) -> None:
    (copy / "config.json").write_text(content)

    with pytest.raises(ValueError, match=r"config\.json does not describe a Qwen2\.5-Omni"):
        load_config(copy)


def test_missing_tokenizer_says_what_to_copy(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()

    with pytest.raises(FileNotFoundError, match="copy the tokenizer's files there"):
        load_tokenizer(copy)


def test_missing_tensors_are_named(copy: Path) -> None:
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    del index["weight_map"]["thinker.visual.patch_embed.proj.weight"]
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(ValueError, match=r"differ in 1 tensors.*patch_embed.*stored None"):
        load_vision_tower(copy)


def test_tensors_of_another_size_are_named(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["thinker_config"]["vision_config"]["depth"] = 5
    config["thinker_config"]["audio_config"]["output_dim"] = 64
    (copy / "config.json").write_text(json.dumps(config))

    with pytest.raises(ValueError, match=r"blocks\.4.*does its config.json belong to it"):
        load_vision_tower(copy)
    with pytest.raises(ValueError, match=r"expected \[2, 64\], stored \[2, 128\]"):
        load_audio_tower(copy)


def test_head_of_another_size_is_named(copy: Path) -> None:
    shard = shard_of(copy, "thinker.lm_head.weight")
    save_file(load_file(shard) | {"thinker.lm_head.weight": torch.zeros(300, 128)}, shard)

    with pytest.raises(ValueError, match=r"lm_head.weight is \[300, 128\]"):
        load_text_model(copy)


def test_loading_leaves_the_progress_bar_setting_alone(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load_audio_tower(tiny_folder)

    assert "Loading" not in capfd.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()
