"""Runs stages: optimiser, schedule, measurement. Knows nothing about files; is given its clock."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compressor.omni.chat import ChatLayout
from compressor.training.batches import Batch, BatchConfig, BatchStream, loader
from compressor.training.questions import Kind
from compressor.training.scenes import Split
from compressor.training.schedule import FULL, Progress, Stage, learning_rate
from compressor.training.selection import Budget
from compressor.training.step import Studio, Weights, forward, mixed_precision
from compressor.training.student import Student, Tokens

Clock = Callable[[], float]
Report = Callable[[dict[str, object]], None]
Example = tuple[Batch, Tokens | None]  # tokens where they are kept
_WEIGHT_DECAY = 0.03
_BETAS = (0.9, 0.98)
_MAX_GRADIENT = 1.0
_REPORT_EVERY = 50


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
            used again in random order.
        cache_s: Time after which no more are added.
    """

    seed: int = 0
    batch_s: int = 640
    num_workers: int = 0
    measure_every_s: float = 60.0
    measure_batches: int = 6
    cache_batches: int = 0
    cache_s: float = 1e9


class Trainer:
    """Trains a student on one device.

    On a CPU equal seeds give equal weights; on a GPU kernels may add in another order.
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
        self._validation: list[Example] = []
        self._cache: list[Example] = []

    def train(self, stage: Stage, progress: Progress, clock: Clock, report: Report) -> None:
        """Run one stage to its end; `report` gets one record per 50 steps and per measurement."""
        for tower in (self.student.vision, self.student.hearing):
            tower.requires_grad_(not stage.has_frozen_towers)
        optimiser = _optimiser(self.student)
        window = _Window()
        if stage.has_frozen_towers:
            self._fill_cache(stage, clock)
        examples = self._examples(stage)
        start_s = measured_s = clock()
        for number in itertools.count():
            done = progress.share(number, clock() - start_s)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(stage, done)
            window.add(*self._step(optimiser, stage, next(examples), number))
            self.steps_done += 1
            if self.steps_done % _REPORT_EVERY == 0:
                report(_record(stage, self.steps_done, done, clock() - start_s, window.flush()))
            if clock() - measured_s > self.config.measure_every_s:
                self._report_accuracy(stage, report)
                measured_s = clock()
        self._report_accuracy(stage, report)

    def measure(self, budget: Budget) -> dict[str, float]:
        """Accuracy on validation scenes by kind of question; "ALL" is the mean over questions."""
        right: dict[str, int] = defaultdict(int)
        asked: dict[str, int] = defaultdict(int)
        self.student.eval()
        with torch.no_grad():
            for batch, tokens in self._validation_examples():
                tokens = tokens or self._encode(self.studio.shoot(batch))
                outcome = forward(self.student, tokens, batch, self.header, budget, Weights())
                found = outcome.is_right.cpu()
                for kind in Kind:
                    is_kind = torch.from_numpy(batch.kinds == kind)
                    for name in (kind.name, "ALL"):
                        right[name] += int((found & is_kind).sum())
                        asked[name] += int(is_kind.sum())
        self.student.train()
        return {name: round(right[name] / max(asked[name], 1), 4) for name in asked}

    def _validation_examples(self) -> list[Example]:
        if not self._validation:
            stream = BatchStream(_validation(self.config), self.layout)
            batches = [stream.batch(i) for i in range(self.config.measure_batches)]
            self._validation = [(batch, None) for batch in batches]
        return self._validation

    def _examples(self, stage: Stage) -> Iterator[Example]:
        if not stage.has_frozen_towers:
            self._cache = []
            yield from ((batch, None) for batch in self._batches(stage))
        rng = np.random.default_rng(self.config.seed)
        while True:
            yield from (self._cache[i] for i in rng.permutation(len(self._cache)))

    def _fill_cache(self, stage: Stage, clock: Clock) -> None:
        end_s = clock() + self.config.cache_s
        if self._cache:
            return
        with torch.no_grad():
            for batch in self._batches(stage):
                self._cache.append((batch, self._encode(self.studio.shoot(batch))))
                if len(self._cache) >= self.config.cache_batches or clock() > end_s:
                    return

    def _encode(self, media: tuple[Tensor, Tensor]) -> Tokens:
        with mixed_precision(self.device):
            return self.student.encode(*media)

    def _batches(self, stage: Stage) -> Iterator[Batch]:
        config = BatchConfig(
            stage.durations_s,
            stage.weights_of_lengths,
            self.config.batch_s,
            self.config.seed,
            nameless_share=stage.nameless_share,
        )
        stream = BatchStream(config, self.layout, first=self.steps_done)
        yield from loader(stream, self.config.num_workers)

    def _step(
        self, optimiser: torch.optim.Optimizer, stage: Stage, example: Example, number: int
    ) -> tuple[Tensor, ...]:
        batch, tokens = example
        tokens = tokens or self._encode(self.studio.shoot(batch))
        budget = _pick(stage.budgets, self.config.seed, number)
        found = forward(self.student, tokens, batch, self.header, budget, stage.weights)
        optimiser.zero_grad()
        torch.autograd.backward(found.loss)
        norm = torch.nn.utils.clip_grad_norm_(self.student.parameters(), _MAX_GRADIENT)
        optimiser.step()
        return found.loss.detach(), found.is_right, found.perceived, norm

    def _report_accuracy(self, stage: Stage, report: Report) -> None:
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
    head = {"stage": stage.name, "step": step, "done": round(done, 3), "s": round(elapsed_s, 1)}
    return {**head, **means}


def _pick(budgets: Sequence[Budget], seed: int, number: int) -> Budget | None:
    if not budgets:
        return None
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return budgets[int(torch.randint(len(budgets), (), generator=generator))]


def _optimiser(student: Student) -> torch.optim.Optimizer:
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    is_fused = trained[0].is_cuda
    return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, fused=is_fused)


def _validation(config: TrainerConfig) -> BatchConfig:
    lengths = (4, 8, 16, 32, 60)
    return BatchConfig(
        lengths, (1.0,) * len(lengths), config.batch_s, seed=1, split=Split.VALIDATION
    )


__all__ = ["FULL", "Trainer", "TrainerConfig"]
