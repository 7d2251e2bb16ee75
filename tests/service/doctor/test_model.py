import json
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.models import models_of
from compressor.omni.checkpoint import (
    load_audio_tower,
    load_config,
    load_text_model,
    load_vision_tower,
)
from compressor.omni.int8 import held_bytes
from compressor.weights import EMBEDDED_MODEL
from service.doctor.model import cache_bytes, check_model, encoder_bytes, text_bytes


def test_embedded_model_is_whole() -> None:
    (found,) = check_model(str(EMBEDDED_MODEL), profile="live")

    assert found.level == "ok"


@pytest.mark.parametrize("damage", ["absent", "no config", "other model", "no tokenizer"])
def test_checkpoint_that_is_not_whole_is_a_failure(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage != "absent":
        shutil.copytree(EMBEDDED_MODEL, folder)
    if damage == "no config":
        (folder / "config.json").unlink()
    elif damage == "other model":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    elif damage == "no tokenizer":
        for path in (*folder.glob("tokenizer*"), *folder.glob("vocab*"), *folder.glob("merges*")):
            path.unlink()

    (found,) = check_model(str(folder), profile="live")

    assert found.level == "fail"
    assert "OMNISIFT_MODEL" in found.advice


def test_cache_has_keys_and_values_of_every_layer() -> None:
    config = load_config(EMBEDDED_MODEL)

    # 5 layers, 2 key-value heads of 32
    assert cache_bytes(config, num_tokens=16, value_bytes=4) == 2 * 5 * 2 * 32 * 16 * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("int8_weights", [False, True])
def test_weights_are_as_large_as_what_replicas_load(dtype: torch.dtype, int8_weights: bool) -> None:
    config = load_config(EMBEDDED_MODEL)

    towers = (load(EMBEDDED_MODEL, dtype) for load in (load_audio_tower, load_vision_tower))
    text = load_text_model(EMBEDDED_MODEL, dtype, int8_weights=int8_weights)

    assert encoder_bytes(config, dtype) == pytest.approx(held_bytes(*towers), rel=1e-3)
    found = text_bytes(config, dtype, int8_weights=int8_weights)
    assert found == pytest.approx(held_bytes(*text), rel=1e-3)


def test_a_7b_models_layers_take_half_as_int8() -> None:
    thinker = models_of("7b", torch.device("meta"), torch.bfloat16).thinker

    dense, int8 = (text_bytes(thinker, torch.bfloat16, int8_weights=on) for on in (False, True))

    assert dense == pytest.approx(15.2e9, rel=0.02)  # 7.6 billion parameters
    assert dense - int8 == pytest.approx(6.5e9, rel=0.02)
