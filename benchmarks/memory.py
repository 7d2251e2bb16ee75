"""Accuracy against the age of what is asked, by memory policy, at a fixed token budget.

    python -m benchmarks.memory [--quick] [--model FOLDER] [--budget TOKENS]

Clips of made-up scenes run through encoder, compressor and engine; their questions are asked at the
end, when the budget holds less than half of a clip. Needs no service, no Redis, no Ray. The last
line is one JSON object.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.hardware import measure_hardware
from compressor.evaluation.exam import ExamConfig, papers
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.evaluation.marks import AGE_COLUMNS, COLUMNS, Filter, accuracy
from compressor.evaluation.methods import Entry, build
from compressor.evaluation.quality import Mark
from compressor.tokens import CompressedChunk
from compressor.training.questions import Kind
from compressor.training.questions import Question as Asked
from compressor.training.scenes import Split
from compressor.training.student import selector_config
from compressor.video import StreamState
from compressor.weights import EMBEDDED_MODEL
from service.llm.config import EngineConfig
from service.llm.engine import Finished, Message, Question, Sampling
from service.llm.paged_engine import PagedEngine
from service.llm.policy import Fifo, Policy, Progressive
from service.sessions.record import SessionId

CLIP_S = 48  # below what the model holds at most, so that the budget alone decides
KEEP_RATIO = 0.25
BUDGET_TOKENS = 530  # 10 of a clip's 24 chunks, as `paper-25` leaves them
EVERYTHING = "everything"
POLICIES: Mapping[str, Policy] = {
    EVERYTHING: Fifo(),
    "fifo": Fifo(),
    "sinks": Fifo(num_sinks=4),
    "progressive": Progressive(),
}
# a count needs the whole clip, whenever its last thing came
COUNTS = frozenset({Kind.COUNT, Kind.SOUND_COUNT})


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly to measure."""

    num_clips: int
    num_questions: int


QUICK = Effort(num_clips=8, num_questions=24)
FULL = Effort(num_clips=60, num_questions=30)


@dataclass(frozen=True, slots=True)
class Clip:
    """A stream and what is asked at its end."""

    number: int
    chunks: tuple[CompressedChunk, ...]
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What one policy came to.

    Attributes:
        marks: One per question.
        tokens_held: Mean at the end of a clip.
        seconds_held: Mean age of the oldest unit held, sinks apart.
    """

    marks: tuple[Mark, ...]
    tokens_held: float
    seconds_held: float


def main() -> None:
    """Run all policies; `--quick` takes up to three minutes on two cores."""
    arguments = _parse()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)
    effort = QUICK if arguments.quick else FULL
    clips = list(record_clips(arguments.model, effort))
    scores = {
        name: asyncio.run(examine(arguments.model, name, policy, arguments.budget, clips))
        for name, policy in POLICIES.items()
    }
    _print_table("by age of the evidence, counts apart", scores, age_columns())
    _print_table("by what is asked", scores, need_columns())
    hardware = measure_hardware(torch.device("cpu"), torch.float32).name
    print(json.dumps(_as_json(scores) | {"hardware": hardware, "budget_tokens": arguments.budget}))


def record_clips(folder: Path, effort: Effort) -> Iterator[Clip]:
    """Encode and compress clips of the test split, chunk by chunk as a stream brings them."""
    student, layout = load_examinee(folder), load_layout(folder)
    sizes = selector_config(student.geometry)
    compressor = build(
        Entry("omnisift", KEEP_RATIO), student.selector, sizes.selector, sizes.hidden_size
    )
    exam = ExamConfig(0, effort.num_clips, effort.num_questions, {CLIP_S: 1.0}, Split.TEST)
    for number, paper in enumerate(papers(exam, student, layout)):
        state: StreamState | None = None
        chunks = []
        for chunk_number in range(paper.num_chunks):
            with torch.inference_mode():
                compressed, state = compressor.compress(paper.chunk(0, chunk_number), state)
            chunks.append(compressed)
        print(f"clip {number + 1} of {effort.num_clips}", file=sys.stderr, flush=True)
        yield Clip(number, tuple(chunks), paper.asked[0])


async def examine(
    folder: Path, name: str, policy: Policy, budget: int, clips: Sequence[Clip]
) -> Score:
    """Stream every clip into an engine with one policy, and ask at its end."""
    most = max(sum(len(chunk.embeddings) for chunk in clip.chunks) for clip in clips)
    config = EngineConfig(
        num_pages=1024,
        context_tokens=most if name == EVERYTHING else budget,
        max_questions=max(len(clip.asked) for clip in clips),
        policy=policy,
    )
    engine = PagedEngine.from_checkpoint(folder, config)
    marks: list[Mark] = []
    tokens, seconds = [], []
    for clip in clips:
        session_id = SessionId(f"clip {clip.number}")
        await engine.open(session_id, None)
        for chunk in clip.chunks:
            await engine.append(session_id, chunk)
        units = engine.units(session_id)
        tokens.append(sum(unit.num_tokens for unit in units))
        oldest = next(unit for unit in units if unit.index >= policy.num_sinks)
        seconds.append(CLIP_S - oldest.start_s)
        answers = [_answer(engine, session_id, clip, number) for number in range(len(clip.asked))]
        marks += await asyncio.gather(*answers)
        await engine.close(session_id)
    await engine.aclose()
    return Score(tuple(marks), statistics.mean(tokens), statistics.mean(seconds))


async def _answer(engine: PagedEngine, session_id: SessionId, clip: Clip, number: int) -> Mark:
    asked = clip.asked[number]
    question = Question(
        f"{session_id} {number}", (Message("user", asked.text),), Sampling(max_tokens=4)
    )
    text = ""
    async for item in engine.ask(session_id, question):
        if isinstance(item, Finished):
            text = item.text
    return Mark(
        clip=(0, clip.number),
        kind=asked.kind,
        is_right=text.strip().lower() == asked.answer,
        age_s=max(0.0, CLIP_S - asked.at_s),
        is_on_screen=asked.is_on_screen,
        is_unseen=asked.is_unseen,
    )


def age_columns() -> dict[str, Filter]:
    """Ages of the evidence; questions that count are in none."""

    def at_age(inside: Filter) -> Filter:
        return lambda mark: inside(mark) and mark.kind not in COUNTS

    return {name: at_age(inside) for name, inside in AGE_COLUMNS}


def need_columns() -> dict[str, Filter]:
    """All questions, then by what they need."""
    counts: dict[str, Filter] = {"counts": lambda mark: mark.kind in COUNTS}
    return dict(COLUMNS[:4]) | counts


def _print_table(title: str, scores: Mapping[str, Score], columns: Mapping[str, Filter]) -> None:
    print(f"\n{title:36s}{'tokens':>8s}{'reach':>8s}" + "".join(f"{name:>16s}" for name in columns))
    for name, score in scores.items():
        cells = ""
        for inside in columns.values():
            found = accuracy([mark for mark in score.marks if inside(mark)])
            half = (found.high - found.low) / 2
            cells += f"{100 * found.mean:9.1f} ± {100 * half:4.1f}"
        print(f"{name:36s}{score.tokens_held:8.0f}{score.seconds_held:6.0f} s{cells}")
    first = next(iter(scores.values())).marks
    numbers = "".join(f"{sum(map(inside, first)):16d}" for inside in columns.values())
    print(f"{'questions':52s}{numbers}")


def _as_json(scores: Mapping[str, Score]) -> dict[str, object]:
    columns = need_columns() | age_columns()
    return {
        "clip_s": CLIP_S,
        "questions": len(next(iter(scores.values())).marks),
        "accuracy": {
            name: {
                column: round(accuracy([m for m in score.marks if inside(m)]).mean, 4)
                for column, inside in columns.items()
            }
            for name, score in scores.items()
        },
        "tokens_held": {name: round(score.tokens_held, 1) for name, score in scores.items()},
        "seconds_held": {name: round(score.seconds_held, 1) for name, score in scores.items()},
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="at most three minutes on two cores")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL, help="a checkpoint folder")
    parser.add_argument("--budget", type=int, default=BUDGET_TOKENS, help="tokens per session")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
