from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from compressor.omni.chat import ChatLayout
from compressor.training.batches import Batch, BatchConfig, BatchStream
from compressor.training.composition import encode, find_unseen, stand_ins
from compressor.training.scenes import COLOURS, UNSEEN_PAIRS
from compressor.training.step import Studio
from compressor.training.student import Student, Tokens
from compressor.training.visuals import COLOUR_RGB, FrameScript

CONFIG = BatchConfig((8,), (1.0,), 32, seed=2, has_all_pairs=True)


@pytest.fixture(scope="module")
def mixed(layout: ChatLayout) -> Batch:
    """Four clips of 8 s, in which some things have unseen looks."""
    batch = BatchStream(CONFIG, layout).batch(0)
    assert 0 < find_unseen(batch.frames).mean() < 1
    return batch


@pytest.fixture
def studio() -> Studio:
    return Studio(torch.device("cpu"), 0)


def pairs(script: FrameScript) -> set[tuple[int, int]]:
    return {(int(colour), int(shape)) for colour, shape in script.stamps[:, [8, 4]]}


def test_stand_ins_are_looks_that_are_shown(mixed: Batch) -> None:
    is_unseen = find_unseen(mixed.frames)
    assert not UNSEEN_PAIRS.isdisjoint(pairs(mixed.frames))

    other, in_shape, in_colour = stand_ins(mixed.frames, is_unseen, np.random.default_rng(0))

    stamps = mixed.frames.stamps[is_unseen]
    for script in (other, in_shape, in_colour):
        assert UNSEEN_PAIRS.isdisjoint(pairs(script))
        assert np.array_equal(script.stamps[~is_unseen], mixed.frames.stamps[~is_unseen])
    assert np.array_equal(in_shape.stamps[is_unseen, 5:], stamps[:, 5:])
    assert np.array_equal(in_colour.stamps[is_unseen, :5], stamps[:, :5])
    assert np.array_equal(in_shape.stamps[:, 4], other.stamps[:, 4])
    assert np.array_equal(in_colour.stamps[:, 5:], other.stamps[:, 5:])
    assert not np.any(other.stamps[is_unseen][:, [4, 8]] == stamps[:, [4, 8]])


def test_a_shade_stays_the_same_shade(mixed: Batch) -> None:
    is_unseen = find_unseen(mixed.frames)

    other, *_ = stand_ins(mixed.frames, is_unseen, np.random.default_rng(0))

    palette = np.array([COLOUR_RGB[name] for name in COLOURS])
    for script in (mixed.frames, other):
        shade = script.stamps[is_unseen, 5:8] - palette[script.stamps[is_unseen, 8].astype(int)]
        assert np.abs(shade).max() <= 18.001


def test_unseen_looks_are_two_looks_less_a_third(
    student: Student, studio: Studio, mixed: Batch
) -> None:
    is_unseen = find_unseen(mixed.frames)
    scripts = stand_ins(mixed.frames, is_unseen, np.random.default_rng(7))

    with torch.no_grad():
        found = encode(student, studio, mixed, 7)
        other, in_shape, in_colour = (plain(student, studio, mixed, script) for script in scripts)

    torch.testing.assert_close(found.video, in_shape.video + in_colour.video - other.video)
    assert torch.equal(found.audio, other.audio)


def test_grids_without_unseen_looks_are_as_rendered(
    student: Student, studio: Studio, mixed: Batch
) -> None:
    grids = mixed.frames.stamps[find_unseen(mixed.frames), 0].astype(int) // 2
    is_plain = torch.ones(32, dtype=torch.bool)
    is_plain[grids] = False

    with torch.no_grad():
        found = encode(student, studio, mixed, 7).video.flatten(0, 2)
        shown = plain(student, studio, mixed, mixed.frames).video.flatten(0, 2)

    assert 0 < is_plain.sum() < 32
    assert torch.equal(found[is_plain], shown[is_plain])
    assert not torch.equal(found[~is_plain], shown[~is_plain])


def test_what_training_shows_is_encoded_as_it_is(
    student: Student, studio: Studio, batch: Batch
) -> None:
    with torch.no_grad():
        found = encode(student, studio, batch, 7)
        shown = plain(student, studio, batch, batch.frames)

    assert torch.equal(found.video, shown.video)
    assert torch.equal(found.audio, shown.audio)


def test_no_unseen_look_is_ever_rendered(
    student: Student, studio: Studio, mixed: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[FrameScript] = []
    render = studio._renderer.render

    def note(script: FrameScript, *others: Any) -> torch.Tensor:
        rendered.append(script)
        return render(script, *others)

    monkeypatch.setattr(studio._renderer, "render", note)

    with torch.no_grad():
        encode(student, studio, mixed, 7)

    assert len(rendered) == 3
    assert all(UNSEEN_PAIRS.isdisjoint(pairs(script)) for script in rendered)


def plain(student: Student, studio: Studio, batch: Batch, script: FrameScript) -> Tokens:
    studio.load(7)
    return student.encode(*studio.shoot(replace(batch, frames=script)))
