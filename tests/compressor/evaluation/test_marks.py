import math

import pytest

from compressor.evaluation.marks import AGE_COLUMNS, COLUMNS, KIND_COLUMNS, accuracy, gap
from compressor.evaluation.quality import Mark
from compressor.training.questions import Kind


def mark(clip: int, *, is_right: bool, kind: Kind = Kind.LOOK, age_s: float = 3.0) -> Mark:
    return Mark((0, clip), kind, is_right, age_s, is_on_screen=None, is_unseen=False)


def marks(right_of_ten: int, num_clips: int = 8) -> list[Mark]:
    return [mark(clip, is_right=i < right_of_ten) for clip in range(num_clips) for i in range(10)]


def test_the_interval_holds_the_mean_and_is_none_without_spread() -> None:
    even = accuracy(marks(7))
    mixed = accuracy(marks(7) + [mark(9, is_right=False)] * 10)

    assert even.mean == even.low == even.high == 0.7
    assert mixed.low < mixed.mean < mixed.high
    assert mixed.mean == pytest.approx(56 / 90)


def test_without_questions_there_is_no_accuracy() -> None:
    assert math.isnan(accuracy([]).mean)
    assert math.isnan(gap([], []).mean)


def test_a_gap_pairs_questions() -> None:
    found = gap(marks(9), marks(7))

    assert found.mean == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2)


def test_columns_part_the_questions() -> None:
    vision = mark(0, is_right=True)
    sound = mark(0, is_right=True, kind=Kind.SOUND_ORDER, age_s=30.0)

    holds = {name: (test(vision), test(sound)) for name, test in (*COLUMNS, *AGE_COLUMNS)}
    assert holds["vision"] == (True, False)
    assert holds["sound"] == (False, True)
    assert holds["both"] == (False, False)
    assert holds["20-40 s"] == (False, True)
    assert [name for name, test in KIND_COLUMNS if test(sound)] == ["sound order"]
