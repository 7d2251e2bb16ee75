import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from compressor.omni.checkpoint import load_config, load_text_model
from compressor.omni.export import write_checkpoint
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tiny import tiny_tensors, write_tiny_checkpoint
from compressor.omni.tokenizer import byte_tokenizer

SMALL = Geometry(hidden_size=32, num_layers=1, mlp_size=32, audio_size=48, vision_size=48)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = write_tiny_checkpoint(tmp_path / "a", seed=3, geometry=SMALL)
    torch.manual_seed(2)
    second = write_tiny_checkpoint(tmp_path / "b", seed=3, geometry=SMALL)

    assert digests(first) == digests(second)


def test_another_seed_gives_other_weights() -> None:
    name = "thinker.lm_head.weight"

    assert not torch.equal(tiny_tensors(0, SMALL)[name], tiny_tensors(1, SMALL)[name])


def test_second_write_changes_nothing(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "a", geometry=SMALL)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    write_tiny_checkpoint(folder, geometry=SMALL)

    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_simultaneous_writers_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = list(
            pool.map(lambda _: write_tiny_checkpoint(tmp_path / "a", geometry=SMALL), range(4))
        )

    assert folders == [tmp_path / "a"] * 4
    assert load_config(tmp_path / "a").get_text_config().hidden_size == 32
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_other_checkpoint_is_not_overwritten(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", thinker_config(SMALL), {}, byte_tokenizer())
    before = digests(tmp_path / "a")

    with pytest.raises(FileExistsError):
        write_tiny_checkpoint(tmp_path / "a", geometry=SMALL)

    assert digests(tmp_path / "a") == before


def test_checkpoint_of_another_seed_is_not_overwritten(tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "a", seed=0, geometry=SMALL)

    with pytest.raises(FileExistsError):
        write_tiny_checkpoint(tmp_path / "a", seed=1, geometry=SMALL)


def test_attention_is_far_from_uniform(tiny_folder: Path) -> None:
    model, head = load_text_model(tiny_folder)
    tokens = torch.arange(40)[None]

    logits = head(model(input_ids=tokens).last_hidden_state)
    changed = tokens.clone()
    changed[0, 0] = 99
    other = head(model(input_ids=changed).last_hidden_state)

    # one token among forty moves the last logits visibly
    assert (logits - other)[0, -1].abs().max() > 0.05


def test_speech_parts_are_there_to_be_passed_over() -> None:
    assert {name.split(".")[0] for name in tiny_tensors(0, SMALL)} == {
        "thinker",
        "talker",
        "token2wav",
    }
