from pathlib import Path

import torch

from compressor.evaluation.examinee import geometry_of, load_examinee, load_layout
from compressor.omni.checkpoint import load_config, load_text_model
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.int8 import Int8Linear
from compressor.training.student import Student
from compressor.weights import RANDOM_TRAINED_TEXT


def test_sizes_survive_the_config() -> None:
    geometry = Geometry(hidden_size=96, num_heads=4, audio_layers=1, selector_size=32)

    assert geometry_of(thinker_config(geometry)) == geometry


def test_the_weights_are_those_that_the_service_loads(folder: Path, student: Student) -> None:
    model, head = load_text_model(folder)

    own = student.thinker.model.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(head.weight, student.thinker.lm_head.weight)


def test_other_text_weights_replace_nothing_else(folder: Path, student: Student) -> None:
    other = load_examinee(folder, RANDOM_TRAINED_TEXT)

    ours, theirs = student.thinker.state_dict(), other.thinker.state_dict()
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert changed
    assert all(name.startswith(("model.", "lm_head.")) for name in changed)


def test_the_text_model_alone_may_have_int8_weights(folder: Path, student: Student) -> None:
    int8 = load_examinee(folder, int8_weights=True).thinker

    assert isinstance(int8.model.layers[0].mlp.down_proj, Int8Linear)
    assert torch.equal(int8.lm_head.weight, student.thinker.lm_head.weight)
    for part in ("visual", "audio_tower", "compressor"):
        assert not any(isinstance(one, Int8Linear) for one in getattr(int8, part).modules())


def test_the_layout_has_the_words_of_the_questions(folder: Path) -> None:
    assert len(load_layout(folder).encode("What color was the ring?")) == 6
    assert load_config(folder).get_text_config().vocab_size == 576
