import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compressor.omni.chat import ChatLayout
from compressor.omni.geometry import Geometry
from compressor.training.batches import Batch
from compressor.training.questions import Kind
from compressor.training.schedule import FULL, Progress, Stage
from compressor.training.selection import Budget, Rule
from compressor.training.snapshot import load_place, save_place
from compressor.training.step import Weights
from compressor.training.student import Student, Tokens
from compressor.training.trainer import Trainer, TrainerConfig

SIFT = Budget(Rule.OMNISIFT, 0.23, 0.5)
CONFIG = TrainerConfig(
    seed=1, batch_s=8, measure_every_s=1e9, measure_batches=1, cache_batches=2, asks_again=True
)
READ = Stage("read", 1.0, 3e-3, (4,), (1.0,), (FULL,), Weights(perception=0.5, binding=0.5))
SIFTED = Stage("sift", 1.0, 3e-3, (4,), (1.0,), (FULL, SIFT), Weights(event=0.5), True)
DRILLED = replace(
    SIFTED,
    drill=replace(SIFTED, durations_s=(6,), speech_share=1.0, kind_weights={Kind.SOUND: 99.0}),
    drill_share=0.25,
)


def train(
    layout: ChatLayout, geometry: Geometry, stage: Stage, steps: int
) -> tuple[Trainer, list[dict[str, object]]]:
    records: list[dict[str, object]] = []
    clock = itertools.count().__next__
    trainer = Trainer(Student(geometry, 3), layout, CONFIG, torch.device("cpu"))
    trainer.train(stage, Progress(steps, None), clock, records.append)
    return trainer, records


def test_equal_seeds_train_to_equal_weights(layout: ChatLayout, geometry: Geometry) -> None:
    one, two = (train(layout, geometry, READ, 3)[0].student.state_dict() for _ in range(2))

    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    "stage", [READ, SIFTED, DRILLED], ids=["towers too", "frozen towers", "with a drill"]
)
def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(
    layout: ChatLayout,
    geometry: Geometry,
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("compressor.training.trainer._REPORT_EVERY", 5)
    whole, _ = train(layout, geometry, stage, 7)
    cut = Trainer(Student(geometry, 3), layout, CONFIG, torch.device("cpu"))

    def stop(record: dict[str, object]) -> None:
        assert cut.place is not None
        save_place(tmp_path / "place.safetensors", cut.student, 0, cut.place)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.train(stage, Progress(7, None), itertools.count().__next__, stop)
    resumed = Trainer(Student(geometry, 9), layout, CONFIG, torch.device("cpu"))
    _, place = load_place(tmp_path / "place.safetensors", resumed.student)
    resumed.train(stage, Progress(7, None), itertools.count().__next__, lambda _: None, place)

    assert place.number == 5
    found = resumed.student.state_dict()
    assert all(torch.equal(tensor, found[n]) for n, tensor in whole.student.state_dict().items())


def test_frozen_towers_stay_and_the_rest_learns(layout: ChatLayout, geometry: Geometry) -> None:
    start = Student(geometry, 3).state_dict()

    trainer, records = train(layout, geometry, SIFTED, 4)

    end = trainer.student.state_dict()
    moved = {name for name, tensor in end.items() if not torch.equal(tensor, start[name])}
    assert not any(".visual." in name or ".audio_tower." in name for name in moved)
    assert any(".compressor." in name for name in moved)
    assert any(".layers." in name for name in moved)
    assert {record["rule"] for record in records} == {"full", "omnisift"}


def test_only_the_heads_learn_of_a_frozen_model(layout: ChatLayout, geometry: Geometry) -> None:
    start = Student(geometry, 3).state_dict()
    stage = replace(SIFTED, weights=Weights(binding=0.5), has_frozen_model=True)

    config = replace(CONFIG, measure_every_s=0.0)
    trainer = Trainer(Student(geometry, 3), layout, config, torch.device("cpu"))
    records: list[dict[str, object]] = []

    trainer.train(stage, Progress(4, None), itertools.count().__next__, records.append)

    end = trainer.student.state_dict()
    moved = {name for name, tensor in end.items() if not torch.equal(tensor, start[name])}
    assert moved
    assert all(name.startswith("binding.") for name in moved)
    assert not any("accuracy" in record for record in records)


def test_stages_that_see_the_same_share_their_tokens(
    layout: ChatLayout, geometry: Geometry
) -> None:
    trainer, records = train(layout, geometry, SIFTED, 1)
    (shared,) = trainer._caches.values()
    more = itertools.count().__next__

    trainer.train(replace(SIFTED, name="again"), Progress(1, None), more, records.append)
    assert next(iter(trainer._caches.values())) is shared

    trainer.train(replace(SIFTED, has_all_pairs=True), Progress(1, None), more, records.append)
    (other,) = trainer._caches.values()
    assert other is not shared


def test_a_drill_has_its_share_of_steps_and_scenes_of_its_own(
    layout: ChatLayout, geometry: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[Stage, Batch, int]] = []
    trainer = Trainer(Student(geometry, 3), layout, CONFIG, torch.device("cpu"))

    def note(_: Any, part: Stage, example: tuple[Batch, Tokens], number: int) -> Any:
        steps.append((part, example[0], number))
        return torch.zeros(()), torch.ones(1), torch.zeros(3), torch.zeros(())

    monkeypatch.setattr(trainer, "_step", note)

    trainer.train(DRILLED, Progress(200, None), itertools.count().__next__, lambda _: None)

    drills = [batch for part, batch, _ in steps if part is DRILLED.drill]
    others = [batch for part, batch, _ in steps if part is DRILLED]
    assert len(drills) + len(others) == 200
    assert 30 < len(drills) < 70
    assert {batch.duration_s for batch in drills} == {6}
    assert {batch.duration_s for batch in others} == {4}
    shares = [np.mean([batch.kinds == Kind.SOUND for batch in part]) for part in (drills, others)]
    assert shares[0] > 0.8 > 0.2 > shares[1]
    assert len(trainer._caches) == 2


def test_a_stage_that_trains_towers_has_no_drill() -> None:
    with pytest.raises(ValueError, match="read trains towers, so it can have no drill"):
        replace(READ, drill=SIFTED, drill_share=0.5)


@pytest.mark.parametrize("asks_again", [False, True])
def test_cached_tokens_may_be_asked_about_anew(
    asks_again: bool, layout: ChatLayout, geometry: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, cache_batches=1, asks_again=asks_again)
    trainer = Trainer(Student(geometry, 3), layout, config, torch.device("cpu"))
    asked: list[tuple[Batch, Tokens]] = []
    step = trainer._step

    def note(*arguments: Any) -> tuple[torch.Tensor, ...]:
        asked.append(arguments[2])
        return step(*arguments)

    monkeypatch.setattr(trainer, "_step", note)

    trainer.train(SIFTED, Progress(3, None), itertools.count().__next__, lambda _: None)

    assert len({id(tokens) for _, tokens in asked}) == 1
    assert len({batch.tails.tobytes() for batch, _ in asked}) == (3 if asks_again else 1)


def test_products_may_be_computed_in_bfloat16(layout: ChatLayout, geometry: Geometry) -> None:
    config = replace(CONFIG, is_bfloat16=True)
    trainer = Trainer(Student(geometry, 3), layout, config, torch.device("cpu"))
    records: list[dict[str, object]] = []

    trainer.train(SIFTED, Progress(2, None), itertools.count().__next__, records.append)

    exact = train(layout, geometry, SIFTED, 2)[0].student.thinker.lm_head.weight
    rounded = trainer.student.thinker.lm_head.weight
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.02)


def test_the_loss_falls_within_two_hundred_steps(layout: ChatLayout, geometry: Geometry) -> None:
    stage = Stage("read", 1.0, 5e-3, (4,), (1.0,), (FULL,), has_frozen_towers=True)

    _, records = train(layout, geometry, stage, 200)

    losses = [record["loss"] for record in records if "loss" in record]
    assert len(losses) == 4
    assert float(str(losses[-1])) < 0.6 * float(str(losses[0]))


def test_a_place_is_told_only_while_the_weights_are_there(
    layout: ChatLayout, geometry: Geometry
) -> None:
    config = replace(CONFIG, measure_every_s=60.0)
    trainer = Trainer(Student(geometry, 3), layout, config, torch.device("cpu"))
    told: list[tuple[bool, bool]] = []

    def note(record: dict[str, object]) -> None:
        told.append(("loss" in record, trainer.place is not None))

    trainer.train(SIFTED, Progress(52, None), itertools.count().__next__, note)

    assert (True, True) in told
    assert told.count((False, False)) > 2
    assert all(is_step == has_place for is_step, has_place in told)
