"""What is trained when: the stages of a run, and the learning rate within one.

Knows nothing about models or data.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from compressor.config import CrossChunkConfig
from compressor.training.batches import LEARNING_WEIGHTS
from compressor.training.questions import Kind
from compressor.training.selection import Budget, Rule
from compressor.training.step import Weights

_FLOOR = 0.04  # of the peak learning rate, at the end of a stage
_NO_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run.

    Attributes:
        name: Shown in the log.
        share: Of the run's time or steps.
        learning_rate: Peak.
        durations_s: Clip lengths.
        weights_of_lengths: By batches (all batches hold about equally many seconds).
        budgets: What a step keeps, drawn at random; empty: perception alone.
        weights: Of the auxiliary losses.
        nameless_share: Share of things in colours without a name.
        is_crowded: Whether scenes are crowds: for perception alone, there is nothing to ask.
        speech_share: Share of scenes in which words are spoken.
        has_frozen_towers: Whether both towers stay as they are; their tokens are then kept and
            used again, see `TrainerConfig.cache_batches`.
        warmup: Share of the stage spent on rising to the peak.
        has_frozen_model: Whether all that is shipped stays as it is and only the heads learn: what
            is still random would drag the model about.
        has_all_pairs: Whether looks that no tower is shown occur, composed; see `composition`.
        kind_weights: Relative frequency of questions by what they need, 1 where none is given.
        drill: What is practised in between, so that what is hard is learned while all else is kept
            up; learns at this stage's rate. Both have frozen towers.
        drill_share: Share of the steps that are its.

    Raises:
        ValueError: On a drill where towers are trained, which cannot be cached.
    """

    name: str
    share: float
    learning_rate: float
    durations_s: tuple[int, ...]
    weights_of_lengths: tuple[float, ...]
    budgets: tuple[Budget, ...] = ()
    weights: Weights = _NO_WEIGHTS
    has_frozen_towers: bool = False
    nameless_share: float = 0.0
    is_crowded: bool = False
    speech_share: float = 0.0
    warmup: float = 0.03
    has_frozen_model: bool = False
    has_all_pairs: bool = False
    kind_weights: Mapping[Kind, float] = field(default_factory=lambda: LEARNING_WEIGHTS, hash=False)
    drill: "Stage | None" = None
    drill_share: float = 0.0

    def __post_init__(self) -> None:
        if self.drill and not (self.has_frozen_towers and self.drill.has_frozen_towers):
            raise ValueError(f"{self.name} trains towers, so it can have no drill")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage has come: whichever of the two limits is nearer counts.

    Attributes:
        max_steps: None for no limit.
        max_s: None for no limit.
    """

    max_steps: int | None
    max_s: float | None

    def share(self, step: int, elapsed_s: float) -> float:
        """Give the share done, 0 to 1 and above."""
        by_steps = 0.0 if self.max_steps is None else step / self.max_steps
        by_time = 0.0 if self.max_s is None else elapsed_s / self.max_s
        return max(by_steps, by_time)


def learning_rate(stage: Stage, done: float) -> float:
    """Rise linearly, fall by a cosine; `done` is the share of the stage, 0 to 1."""
    rise = min(1.0, done / stage.warmup) if stage.warmup else 1.0
    fall = _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return stage.learning_rate * rise * fall


def calibrates_selector(stages: Sequence[Stage]) -> bool:
    """Whether a plan trains the selector's scores to be probabilities of an event."""
    return any(
        stage.weights.event > 0 and any(one.rule is Rule.OMNISIFT for one in stage.budgets)
        for stage in stages
    )


def _probes(stage: Stage) -> Stage:
    """What comes before a stage that starts with new heads on a trained model.

    Linear probing before fine-tuning distorts less of what is there (arXiv 2202.10054).
    """
    return replace(
        stage,
        name="probes",
        share=1 - stage.share,
        learning_rate=1e-2,
        has_frozen_towers=True,
        has_frozen_model=True,
        drill=None,
        drill_share=0.0,
    )


FULL = Budget(Rule.FULL)
# mixed ratios, so that one checkpoint serves every profile
MIXED = (
    FULL,
    Budget(Rule.OMNISIFT, 0.47, 0.70),
    Budget(Rule.OMNISIFT, 0.33, 0.60),
    Budget(Rule.OMNISIFT, 0.23, 0.50),
    Budget(Rule.OMNISIFT, 0.23, 0.50),
    Budget(Rule.OMNISIFT, 0.23, 0.50, CrossChunkConfig()),
    Budget(Rule.OMNISIFT, 0.23, 0.50, CrossChunkConfig()),
    Budget(Rule.OMNISIFT, 0.23, 0.50, CrossChunkConfig(anchor_ratio=0.02, audio_anchor_ratio=0.05)),
    Budget(Rule.OMNISIFT, 0.13, 0.30),
)
# for practice on sounds: hardly a picture, and of the audio little but what is heard
THIN = (Budget(Rule.OMNISIFT, 0.06, 0.50, CrossChunkConfig(audio_anchor_ratio=0.04)),)
THIN_RANDOM = (Budget(Rule.RANDOM, 0.06, 0.50),)
# about what the live profile leaves, and less
LEAN = (
    Budget(Rule.OMNISIFT, 0.23, 0.50, CrossChunkConfig()),
    Budget(Rule.OMNISIFT, 0.10, 0.50, CrossChunkConfig(audio_anchor_ratio=0.05)),
)
LEAN_RANDOM = (Budget(Rule.RANDOM, 0.23, 0.50), Budget(Rule.RANDOM, 0.09, 0.30))
MIXED_RANDOM = (
    FULL,
    Budget(Rule.RANDOM, 0.47, 0.70),
    Budget(Rule.RANDOM, 0.33, 0.60),
    Budget(Rule.RANDOM, 0.23, 0.50),
    Budget(Rule.RANDOM, 0.23, 0.50),
    Budget(Rule.RANDOM, 0.13, 0.30),
    Budget(Rule.RANDOM, 0.09, 0.25),
    Budget(Rule.RANDOM, 0.09, 0.14),
)
_LENGTHS = (4, 6, 8, 12, 16, 24, 32, 60)
# seconds; intermediate plans may be shorter, the last one of a checkpoint is not
LONGEST_S = _LENGTHS[-1]
_LENGTH_WEIGHTS = (1.0, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 1.0)
_LONG_WEIGHTS = (1.0, 1.0, 1.5, 2.0, 2.0, 2.0, 3.0, 3.0)
_SEE = Weights(perception=1.0)
_READ = Weights(perception=0.5, binding=0.5)
_LOOK = Weights(perception=1.0, binding=0.5)
_BIND = Weights(binding=0.5)
_SIFT = Weights(binding=0.2, event=0.5)
_ADAPT = Weights(binding=0.5, event=0.5)

_NAMELESS = 0.2
_WORDS_MOST: Mapping[Kind, float] = MappingProxyType(
    {**LEARNING_WEIGHTS, Kind.WORD: 12.0, Kind.WORD_ORDER: 20.0, Kind.SEEN_DURING: 4.0}
)
# what is weakest once everything is known
_COUNTS_MOST: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.ORDER: 2.0,
        Kind.COUNT: 14.0,
        Kind.SOUND_COUNT: 5.0,
        Kind.SEEN_DURING: 4.0,
        Kind.WHICH_FIRST: 3.0,
        Kind.WORD: 2.0,
        Kind.WORD_ORDER: 3.0,
    }
)
_COUNTS_AND_WORDS: Mapping[Kind, float] = MappingProxyType(
    {
        Kind.COUNT: 10.0,
        Kind.SOUND_COUNT: 3.0,
        Kind.SEEN_DURING: 4.0,
        Kind.WORD: 4.0,
        Kind.WORD_ORDER: 6.0,
    }
)

FROM_SCRATCH = (
    Stage("perception", 0.05, 2e-3, (4,), (1.0,), (), _SEE, nameless_share=0.4, warmup=0.1),
    Stage("short", 0.35, 2e-3, (4, 6, 8), (1.0,) * 3, (FULL,), _READ, nameless_share=_NAMELESS),
    Stage("all", 0.6, 1.5e-3, _LENGTHS, _LENGTH_WEIGHTS, (FULL,), _READ, nameless_share=_NAMELESS),
)
_TOWERS = Stage(
    "towers", 0.98, 1e-3, (4,), (1.0,), (), _SEE, nameless_share=0.5, is_crowded=True, warmup=0.05
)
TOWERS = (_probes(_TOWERS), _TOWERS)
COLOURS = (Stage("colours", 1.0, 8e-4, (4, 6, 8), (1.0,) * 3, (FULL,), _LOOK, nameless_share=0.4),)
FROZEN = (Stage("frozen", 1.0, 1.5e-3, _LENGTHS, _LENGTH_WEIGHTS, (FULL,), _BIND, True, _NAMELESS),)
SIFTED = (Stage("sifted", 1.0, 8e-4, _LENGTHS, _LENGTH_WEIGHTS, MIXED, _SIFT, True, _NAMELESS),)
# a word in a question is matched to one that was heard only after much practice on both
_SPOKEN = Stage(
    "spoken",
    1.0,
    8e-4,
    (4, 6, 8),
    (1.0,) * 3,
    THIN,
    _ADAPT,
    has_frozen_towers=True,
    nameless_share=0.1,
    speech_share=1.0,
    has_all_pairs=True,
    kind_weights=_WORDS_MOST,
)
# for towers that compose: the text model learns that every colour may have any shape, and words
_COMPOSED = Stage(
    "composed",
    0.97,
    8e-4,
    _LENGTHS,
    _LONG_WEIGHTS,
    MIXED,
    _ADAPT,
    has_frozen_towers=True,
    nameless_share=0.1,
    speech_share=0.5,
    has_all_pairs=True,
    drill=_SPOKEN,
    drill_share=0.4,
)
COMPOSED = (_probes(_COMPOSED), _COMPOSED)
_COUNTING = replace(
    _COMPOSED,
    name="counting",
    learning_rate=4e-4,
    kind_weights=_COUNTS_MOST,
    drill=replace(_SPOKEN, name="drill", budgets=LEAN, kind_weights=_COUNTS_AND_WORDS),
    drill_share=0.35,
)
COUNTING = (_probes(_COUNTING), _COUNTING)


def _at_random(stages: Sequence[Stage], drill_budgets: tuple[Budget, ...]) -> tuple[Stage, ...]:
    """What the comparison with random drop needs: everything the same but for who chooses."""
    return tuple(
        replace(
            stage,
            budgets=MIXED_RANDOM,
            drill=stage.drill and replace(stage.drill, budgets=drill_budgets),
        )
        for stage in stages
    )


PLANS = {
    "scratch": FROM_SCRATCH,
    "towers": TOWERS,
    "colours": COLOURS,
    "frozen": FROZEN,
    "sifted": SIFTED,
    "composed": COMPOSED,
    "counting": COUNTING,
    "random": _at_random(COMPOSED, THIN_RANDOM),
    "random_counting": _at_random(COUNTING, LEAN_RANDOM),
}

__all__ = ["LONGEST_S", "PLANS", "Progress", "Stage", "calibrates_selector", "learning_rate"]
