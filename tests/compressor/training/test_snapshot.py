from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compressor.audio import AudioSelector
from compressor.evaluation.examinee import load_examinee
from compressor.omni.checkpoint import (
    load_audio_tower,
    load_config,
    load_selector_state,
    load_text_model,
    load_tokenizer,
    load_vision_tower,
)
from compressor.omni.checkpoint import (
    selector_config as stored_selector_config,
)
from compressor.omni.geometry import Geometry
from compressor.training.selection import QUIET_SCORE
from compressor.training.snapshot import (
    export,
    export_text,
    load_checkpoint,
    load_snapshot,
    save_snapshot,
)
from compressor.training.student import Student, selector_config
from compressor.training.tokenizer import vocab_size, word_tokenizer


def test_a_snapshot_brings_back_all_weights(
    tmp_path: Path, student: Student, geometry: Geometry
) -> None:
    save_snapshot(tmp_path / "a.safetensors", student)
    other = Student(geometry, seed=9)

    load_snapshot(tmp_path / "a.safetensors", other)

    own = student.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in other.state_dict().items())


def test_a_snapshot_of_something_else_is_refused(tmp_path: Path, student: Student) -> None:
    save_file({"thinker.lm_head.weight": torch.zeros(2, 2)}, tmp_path / "a.safetensors")

    with pytest.raises(ValueError, match="other tensors"):
        load_snapshot(tmp_path / "a.safetensors", student)


def test_the_service_can_load_what_is_exported(tmp_path: Path, student: Student) -> None:
    folder = export(tmp_path / "model", student, word_tokenizer(), {"NOTE.md": "hello"})

    text, head = load_text_model(folder)
    selector = AudioSelector(selector_config(student.geometry))
    selector.load_state_dict(load_selector_state(folder) or {}, strict=True)
    pairs = [
        (load_audio_tower(folder), student.thinker.audio_tower),
        (load_vision_tower(folder), student.thinker.visual),
        (text, student.thinker.model),
        (head, student.thinker.lm_head),
        (selector, student.selector),
    ]
    for loaded, trained in pairs:
        state = trained.state_dict()
        for name, tensor in loaded.state_dict().items():
            torch.testing.assert_close(tensor, state[name].half().float())
    assert stored_selector_config(load_config(folder)).quiet_score == QUIET_SCORE
    assert load_tokenizer(folder).encode("ring") == word_tokenizer().encode("ring")
    assert (folder / "NOTE.md").read_text() == "hello"


def test_a_text_model_can_be_exchanged_alone(
    tmp_path: Path, student: Student, geometry: Geometry
) -> None:
    folder = export(tmp_path / "model", student, word_tokenizer(), {})
    other = Student(geometry, seed=9)
    export_text(tmp_path / "text.safetensors", other)

    mixed = load_examinee(folder, tmp_path / "text.safetensors").thinker

    pairs = [
        (mixed.lm_head.weight, other.thinker.lm_head.weight),
        (mixed.model.norm.weight, other.thinker.model.norm.weight),
        (mixed.visual.merger.ln_q.weight, student.thinker.visual.merger.ln_q.weight),
    ]
    for found, wanted in pairs:
        assert torch.equal(found, wanted.half().float())


def test_a_checkpoint_brings_its_weights_to_a_larger_vocabulary(
    tmp_path: Path, student: Student, geometry: Geometry
) -> None:
    folder = export(tmp_path / "model", student, word_tokenizer(), {})
    grown = word_tokenizer()
    grown.add_tokens(["<0>", "<1>"])
    other = Student(replace(geometry, vocab_size=vocab_size(grown) + 32), seed=9)
    before = other.thinker.lm_head.weight.clone()

    load_checkpoint(folder, other, grown)

    known = torch.arange(len(word_tokenizer()))
    for ours, theirs in (
        (other.thinker.lm_head.weight[known], student.thinker.lm_head.weight[known]),
        (other.thinker.visual.merger.ln_q.weight, student.thinker.visual.merger.ln_q.weight),
    ):
        assert torch.equal(ours, theirs.half().float())
    assert torch.equal(other.thinker.lm_head.weight[len(known) :], before[len(known) :])


def test_a_checkpoint_of_another_geometry_is_refused(
    tmp_path: Path, student: Student, geometry: Geometry
) -> None:
    folder = export(tmp_path / "model", student, word_tokenizer(), {})
    other = Student(replace(geometry, mlp_size=32))

    with pytest.raises(ValueError, match=r"mlp.* is \[64, 48\], not \[32, 48\]"):
        load_checkpoint(folder, other, word_tokenizer())
