"""Accuracies with their uncertainty. Pure numbers: knows nothing about models or tables."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from compressor.evaluation.quality import Mark
from compressor.training.questions import AUDIO_KINDS, VISION_KINDS, Kind

RESAMPLES = 500
AGES_S = (0, 10, 20, 40, 60)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of right answers.

    Attributes:
        mean: 0 to 1; NaN without questions.
        low: Lower end of the 95 % interval.
        high: Upper end.
        number: Questions.
    """

    mean: float
    low: float
    high: float
    number: int


def accuracy(marks: Sequence[Mark], seed: int = 0) -> Accuracy:
    """Average over questions; the interval is a bootstrap over clips, not over questions."""
    if not marks:
        return Accuracy(float("nan"), float("nan"), float("nan"), 0)
    by_clip: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for mark in marks:
        by_clip[mark.clip].append(mark.is_right)
    right = np.array([sum(row) for row in by_clip.values()])
    asked = np.array([len(row) for row in by_clip.values()])
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(asked), size=(RESAMPLES, len(asked)))
    means = right[picks].sum(1) / asked[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Accuracy(float(right.sum() / asked.sum()), float(low), float(high), int(asked.sum()))


def gap(ours: Sequence[Mark], theirs: Sequence[Mark], seed: int = 0) -> Accuracy:
    """Difference of two methods on the same questions; the interval pairs clips."""
    if not ours:
        return Accuracy(float("nan"), float("nan"), float("nan"), 0)
    pairs: dict[tuple[int, int], list[int]] = defaultdict(list)
    for one, other in zip(ours, theirs, strict=True):
        pairs[one.clip].append(int(one.is_right) - int(other.is_right))
    won = np.array([sum(row) for row in pairs.values()])
    asked = np.array([len(row) for row in pairs.values()])
    picks = np.random.default_rng(seed).integers(len(asked), size=(RESAMPLES, len(asked)))
    low, high = np.quantile(won[picks].sum(1) / asked[picks].sum(1), [0.025, 0.975])
    return Accuracy(float(won.sum() / asked.sum()), float(low), float(high), int(asked.sum()))


Filter = Callable[[Mark], bool]


def _is_of_kind(kind: Kind, mark: Mark) -> bool:
    return mark.kind is kind


def _is_of_age(low_s: float, high_s: float, mark: Mark) -> bool:
    return low_s <= mark.age_s < high_s


COLUMNS: tuple[tuple[str, Filter], ...] = (
    ("all", lambda mark: True),
    ("vision", lambda mark: mark.kind in VISION_KINDS),
    ("sound", lambda mark: mark.kind in AUDIO_KINDS),
    ("both", lambda mark: mark.kind not in VISION_KINDS | AUDIO_KINDS),
    ("on screen", lambda mark: mark.is_on_screen is True),
    ("off screen", lambda mark: mark.is_on_screen is False),
    ("seen looks", lambda mark: not mark.is_unseen),
    ("unseen looks", lambda mark: mark.is_unseen),
)
KIND_COLUMNS: tuple[tuple[str, Filter], ...] = tuple(
    (kind.name.lower().replace("_", " "), partial(_is_of_kind, kind)) for kind in Kind
)
AGE_COLUMNS: tuple[tuple[str, Filter], ...] = tuple(
    (f"{low}-{high} s", partial(_is_of_age, low, high)) for low, high in pairwise(AGES_S)
)


__all__ = ["AGE_COLUMNS", "COLUMNS", "KIND_COLUMNS", "Accuracy", "accuracy", "gap"]
