import json
import shutil
from pathlib import Path

import pytest

from compressor.omni.checkpoint import load_config
from compressor.weights import EMBEDDED_MODEL
from service.doctor.model import cache_bytes, check_model


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
