"""Runs stages: optimiser, schedule, measurement. Knows nothing about files; is given its clock.

A run that was cut goes on where it was: `Trainer.place` says where that is, and what is drawn at a
step depends on the number of the step alone.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compressor.omni.chat import ChatLayout
from compressor.training.batches import Batch, BatchConfig, BatchStream, loader
from compressor.training.composition import encode
from compressor.training.questions import Kind
from compressor.training.scenes import Split
from compressor.training.schedule import FULL, Progress, Stage, learning_rate
from compressor.training.selection import Budget
from compressor.training.step import Outcome, Studio, Weights, forward
from compressor.training.student import Student, Tokens

Clock = Callable[[], float]
Report = Callable[[dict[str, object]], None]
Example = tuple[Batch, Tokens]
Cache = list[Example]
_WEIGHT_DECAY = 0.03
_BETAS = (0.9, 0.98)
_MAX_GRADIENT = 1.0
_REPORT_EVERY = 50
_VALIDATION_FILM = 1_000_000_000  # no run has so many steps


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """How a run goes.

    Attributes:
        seed: Of data, rendering and random drops.
        batch_s: Seconds of clip per step.
        num_workers: Processes that draw scenes; 0 draws them in this one.
        measure_every_s: Seconds between measurements on the validation split.
        measure_batches: Batches of each measurement.
        cache_batches: Batches whose tokens are kept while the towers are frozen; then they are
            used again in random order. Of a drill its share of as many, besides.
        asks_again: Whether other questions are asked about them each time; on a fast device drawing
            these takes longer than a step.
        cache_s: Time after which no more are added; for a drill its share of it, besides.
        is_bfloat16: Whether products are computed in bfloat16 (weights stay float32).
    """

    seed: int = 0
    batch_s: int = 640
    num_workers: int = 0
    measure_every_s: float = 60.0
    measure_batches: int = 6
    cache_batches: int = 0
    cache_s: float = 1e9
    asks_again: bool = False
    is_bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stage has come.

    Attributes:
        steps_before: Steps of the stages before it.
        number: Steps of this one.
        elapsed_s: Time it took, filling the cache left out.
        moments: The optimiser's running means: per parameter `<name>.<kind>`.
    """

    steps_before: int
    number: int
    elapsed_s: float
    moments: Mapping[str, Tensor]


class Trainer:
    """Trains a student on one device.

    On a CPU equal seeds give equal weights, cut and resumed or not; on a GPU kernels may add in
    another order.
    """

    def __init__(
        self, student: Student, layout: ChatLayout, config: TrainerConfig, device: torch.device
    ) -> None:
        self.student = student.to(device)
        self.layout = layout
        self.config = config
        self.device = device
        self.header = torch.tensor(layout.header(), device=device)
        self.studio = Studio(device, config.seed)
        self.steps_done = 0
        self.place: Place | None = None
        self._stage: Stage | None = None
        self._validation: list[Batch] = []
        self._caches: dict[BatchConfig, Cache] = {}

    def train(
        self,
        stage: Stage,
        progress: Progress,
        clock: Clock,
        report: Report,
        start: Place | None = None,
    ) -> None:
        """Run one stage to its end.

        Args:
            stage: What to do.
            progress: How long.
            clock: In seconds.
            report: Gets one record per 50 steps, during which `place` says where the run is, and
                one per measurement.
            start: Where to go on, with a student as it was there; None: at the stage's beginning.
        """
        self.student.thinker.requires_grad_(not stage.has_frozen_model)
        for tower in (self.student.vision, self.student.hearing):
            tower.requires_grad_(not stage.has_frozen_towers)
        self._stage, self._validation = stage, []
        optimiser = _optimiser(self.student)
        start = start or Place(self.steps_done, 0, 0.0, {})
        set_moments(optimiser, self.student, start.moments)
        self.steps_done = start.steps_before + start.number
        window = _Window()
        self._fill_caches(stage, clock, report)
        examples = self._examples(stage, start)
        measured_s = clock()
        start_s = measured_s - start.elapsed_s
        for number in itertools.count(start.number):
            done = progress.share(number, clock() - start_s)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(stage, done)
            window.add(*self._step(optimiser, *next(examples), number))
            self.steps_done += 1
            if self.steps_done % _REPORT_EVERY == 0:
                elapsed_s = clock() - start_s
                moments = get_moments(optimiser, self.student)
                self.place = Place(start.steps_before, number + 1, elapsed_s, moments)
                report(_record(stage, self.steps_done, done, elapsed_s, window.flush()))
                self.place = None  # from the next step on it lies behind the weights
            if clock() - measured_s > self.config.measure_every_s:
                self._report_accuracy(stage, report)
                measured_s = clock()
        self._report_accuracy(stage, report)

    def measure(self, budget: Budget) -> dict[str, float]:
        """Accuracy on validation scenes by kind of question; "ALL" is the mean over questions.

        Words are spoken as often as in the stage last trained; all kinds are asked alike.
        """
        right: dict[str, int] = defaultdict(int)
        asked: dict[str, int] = defaultdict(int)
        self.student.eval()
        with torch.no_grad():
            for batch, tokens in self._validation_examples():
                outcome = self._forward(tokens, batch, budget, Weights())
                found = outcome.is_right.cpu()
                for kind in Kind:
                    is_kind = torch.from_numpy(batch.kinds == kind)
                    for name in (kind.name, "ALL"):
                        right[name] += int((found & is_kind).sum())
                        asked[name] += int(is_kind.sum())
        self.student.train()
        return {name: round(right[name] / max(asked[name], 1), 4) for name in asked}

    def _validation_examples(self) -> Iterator[Example]:
        if not self._validation:
            stream = BatchStream(_validation(self.config, self._stage), self.layout)
            batches = [stream.batch(i) for i in range(self.config.measure_batches)]
            self._validation = batches
        for number, batch in enumerate(self._validation):
            yield batch, self._encode(batch, _VALIDATION_FILM + number)

    def _examples(self, stage: Stage, start: Place) -> Iterator[tuple[Stage, Example]]:
        if not stage.has_frozen_towers:
            for number, batch in self._batches(stage, self.steps_done):
                yield stage, (batch, self._encode(batch, number))
        streams = {config: BatchStream(config, self.layout) for config in self._caches}
        for part, turn, number in itertools.islice(self._picks(stage), start.number, None):
            config = self._batch_config(part)
            batch, tokens = self._caches[config][number]
            if self.config.asks_again and turn:
                batch = streams[config].ask_again(batch, number, turn)
            yield part, (batch, tokens)

    def _picks(self, stage: Stage) -> Iterator[tuple[Stage, int, int]]:
        """Draw what each step is about: the stage or its drill, how often it was, which batch."""
        rng = np.random.default_rng([self.config.seed, 1])
        orders = {part: self._shuffle(self._batch_config(part)) for part, _ in _parts(stage)}
        while True:
            part = stage
            if stage.drill and rng.random() < stage.drill_share:
                part = stage.drill
            yield part, *next(orders[part])

    def _shuffle(self, config: BatchConfig) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng(self.config.seed)
        for turn in itertools.count():
            for number in rng.permutation(len(self._caches[config])).tolist():
                yield turn, number

    def _fill_caches(self, stage: Stage, clock: Clock, report: Report) -> None:
        parts = _parts(stage) if stage.has_frozen_towers else []
        old, self._caches = self._caches, {}
        for part, share in parts:
            config = self._batch_config(part)
            self._caches[config] = old.get(config) or self._fill(part, share, clock, report)

    def _fill(self, stage: Stage, share: float, clock: Clock, report: Report) -> Cache:
        end_s = clock() + share * self.config.cache_s
        cache: Cache = []
        with torch.no_grad():
            for number, batch in self._batches(stage, 0):
                cache.append((batch, self._encode(batch, number)))
                if len(cache) >= share * self.config.cache_batches or clock() > end_s:
                    break
                if len(cache) % _REPORT_EVERY == 0:
                    report({"stage": stage.name, "cached_batches": len(cache)})
        return cache

    def _encode(self, batch: Batch, film: int) -> Tokens:
        with self._mixed_precision():
            return encode(self.student, self.studio, batch, film)

    def _forward(
        self, tokens: Tokens, batch: Batch, budget: Budget | None, weights: Weights
    ) -> Outcome:
        with self._mixed_precision():
            return forward(self.student, tokens, batch, self.header, budget, weights)

    def _mixed_precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.is_bfloat16)

    def _batches(self, stage: Stage, first: int) -> Iterator[tuple[int, Batch]]:
        stream = BatchStream(self._batch_config(stage), self.layout, first)
        yield from enumerate(loader(stream, self.config.num_workers), first)

    def _batch_config(self, stage: Stage) -> BatchConfig:
        return BatchConfig(
            stage.durations_s,
            stage.weights_of_lengths,
            self.config.batch_s,
            self.config.seed,
            nameless_share=stage.nameless_share,
            is_crowded=stage.is_crowded,
            speech_share=stage.speech_share,
            has_all_pairs=stage.has_all_pairs,
            kind_weights=stage.kind_weights,
        )

    def _step(
        self, optimiser: torch.optim.Optimizer, stage: Stage, example: Example, number: int
    ) -> tuple[Tensor, ...]:
        batch, tokens = example
        budget = _pick(stage.budgets, self.config.seed, number)
        found = self._forward(tokens, batch, budget, stage.weights)
        optimiser.zero_grad()
        torch.autograd.backward(found.loss)
        norm = torch.nn.utils.clip_grad_norm_(self.student.parameters(), _MAX_GRADIENT)
        optimiser.step()
        return found.loss.detach(), found.is_right, found.perceived, norm

    def _report_accuracy(self, stage: Stage, report: Report) -> None:
        if stage.has_frozen_model:
            return  # heads answer nothing
        for budget in dict.fromkeys(stage.budgets):
            report(
                {
                    "stage": stage.name,
                    "step": self.steps_done,
                    "rule": budget.rule.value,
                    "keep": [budget.video_keep_ratio, budget.audio_keep_ratio],
                    "is_live": budget.cross_chunk is not None,
                    "accuracy": self.measure(budget),
                }
            )


class _Window:
    """Running means between two reports; reads the device once per report."""

    def __init__(self) -> None:
        self._rows: list[tuple[Tensor, ...]] = []

    def add(self, loss: Tensor, is_right: Tensor, perceived: Tensor, norm: Tensor) -> None:
        self._rows.append((loss, is_right.float().mean(), perceived, norm))

    def flush(self) -> dict[str, object]:
        loss, right, _, norm = (
            torch.stack(column).mean() if i != 2 else column[-1]
            for i, column in enumerate(zip(*self._rows, strict=True))
        )
        perceived = [round(value, 3) for value in self._rows[-1][2].tolist()]
        self._rows = []
        return {
            "loss": round(float(loss), 4),
            "right": round(float(right), 4),
            "perceived": perceived,
            "gradient": round(float(norm), 3),
        }


def _record(
    stage: Stage, step: int, done: float, elapsed_s: float, means: dict[str, object]
) -> dict[str, object]:
    return {
        "stage": stage.name,
        "step": step,
        "done": round(done, 3),
        "s": round(elapsed_s, 1),
        "left_s": round(elapsed_s / max(done, 1e-6) * (1 - done)),
        **means,
    }


def _parts(stage: Stage) -> list[tuple[Stage, float]]:
    """List what a stage's steps are about, and how much of the cache each gets."""
    return [(stage, 1.0), *([(stage.drill, stage.drill_share)] if stage.drill else [])]


def _pick(budgets: Sequence[Budget], seed: int, number: int) -> Budget | None:
    if not budgets:
        return None
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return budgets[int(torch.randint(len(budgets), (), generator=generator))]


def get_moments(optimiser: torch.optim.Optimizer, student: Student) -> dict[str, Tensor]:
    """Read what an optimiser remembers, by parameter and kind."""
    return {
        f"{name}.{kind}": value
        for name, parameter in student.named_parameters()
        for kind, value in optimiser.state.get(parameter, {}).items()
    }


def set_moments(
    optimiser: torch.optim.Optimizer, student: Student, moments: Mapping[str, Tensor]
) -> None:
    """Give an optimiser what `get_moments` read."""
    parameters = dict(student.named_parameters())
    for key, value in moments.items():
        name, _, kind = key.rpartition(".")
        optimiser.state[parameters[name]][kind] = value.clone()


def _optimiser(student: Student) -> torch.optim.Optimizer:
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    is_fused = trained[0].is_cuda
    return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, fused=is_fused)


def _validation(config: TrainerConfig, stage: Stage | None) -> BatchConfig:
    lengths = (4, 8, 16, 32, 60)
    return BatchConfig(
        lengths,
        (1.0,) * len(lengths),
        config.batch_s,
        seed=1,
        split=Split.VALIDATION,
        speech_share=0.0 if stage is None else stage.speech_share,
        kind_weights={},
    )


__all__ = ["FULL", "Place", "Trainer", "TrainerConfig"]
