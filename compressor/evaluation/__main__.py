"""Measures methods against each other: `python -m compressor.evaluation quality [--quick]`.

`tune` tries the options of the methods instead, on validation scenes. The impure edge: arguments,
files, progress. The last line on stdout is one JSON object.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from compressor.evaluation.comparison import Marked, mark_all
from compressor.evaluation.equal import equal_json, equal_markdown
from compressor.evaluation.exam import ExamConfig, PaperPlan, plan_papers
from compressor.evaluation.methods import METHODS, RATIOS, Entry, entries
from compressor.evaluation.plot import draw
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row, as_json, markdown
from compressor.evaluation.tuning import GRIDS, best, candidates, describe, tuning_table
from compressor.tokens import TokenCounts
from compressor.training.scenes import Split
from compressor.weights import EMBEDDED_MODEL

QUICK_METHODS = ("full", "omnisift", "omnisift_live", "random_trained", "random", "uniform")
QUICK_RATIOS = (0.25,)


def main() -> None:
    """Run what was asked for."""
    arguments = _arguments()
    torch.set_num_threads(1)
    if arguments.command == "tune":
        _tune(arguments)
    else:
        _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    asked = entries(tuple(arguments.methods), tuple(arguments.ratios))
    rows = _compare(arguments, asked)
    text = f"{markdown(rows)}\n{equal_markdown(rows)}"
    if arguments.table:
        arguments.table.write_text(text)
    if arguments.plot:
        draw(rows, arguments.plot)
    if not arguments.table:
        print(text)
    print(json.dumps(as_json(rows) | equal_json(rows)), flush=True)


def _tune(arguments: argparse.Namespace) -> None:
    rows = _compare(arguments, candidates(arguments.methods))
    print(tuning_table(rows))
    found = {method: describe(options) for method, options in best(rows).items()}
    print(json.dumps({"best": found, "questions": len(rows[0].every_mark)}), flush=True)


def _compare(arguments: argparse.Namespace, asked: Sequence[Entry]) -> list[Row]:
    plans = [plan for seed in range(arguments.seeds) for plan in _plans(arguments, seed)]
    started_s, papers = time.monotonic(), []
    marks = mark_all(
        plans, asked, arguments.model, arguments.workers, int8_weights=arguments.int8_weights
    )
    for marked in marks:
        papers.append(marked)
        _progress(plans, papers, time.monotonic() - started_s)
    return [_row(entry, plans, papers) for entry in asked]


def _plans(arguments: argparse.Namespace, seed: int) -> list[PaperPlan]:
    split = Split[arguments.split.upper()]
    config = ExamConfig(
        seed,
        arguments.clips,
        arguments.questions,
        split=split,
        speech_share=arguments.speech_share,
    )
    return plan_papers(config)


def _row(entry: Entry, plans: Sequence[PaperPlan], papers: Sequence[Marked]) -> Row:
    marks: dict[int, list[Mark]] = defaultdict(list)
    for plan, marked in zip(plans, papers, strict=True):
        marks[plan.config.seed].extend(marked[entry].marks)
    results = [marked[entry] for marked in papers]
    counts = (
        TokenCounts(sum(one.video for one in side), sum(one.audio for one in side))
        for side in zip(*((one.counts_in, one.counts_kept) for one in results), strict=True)
    )
    return Row(entry, marks, *counts)


def _progress(plans: Sequence[PaperPlan], papers: Sequence[Marked], elapsed_s: float) -> None:
    first = next(iter(papers[0]))
    marks = [mark for marked in papers for mark in marked[first].marks]
    right = sum(mark.is_right for mark in marks)
    share = sum(plan.seconds for plan in plans[: len(papers)]) / sum(p.seconds for p in plans)
    left_s = elapsed_s * (1 - share) / share
    text = f"{len(papers)} of {len(plans)} papers, {first.method} {right} of {len(marks)} right"
    print(f"{text}, about {left_s:.0f} s left", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["quality", "tune"])
    parser.add_argument("--quick", action="store_true", help="a subset, minutes on a CPU")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--ratios", nargs="+", type=float, choices=sorted(RATIOS))
    parser.add_argument("--split", choices=["validation", "test"])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--clips", type=int, help="per seed")
    parser.add_argument("--questions", type=int, default=20, help="per clip")
    parser.add_argument(
        "--speech-share",
        type=_share,
        default=0.5,
        help="of scenes in which words are spoken and asked about",
    )
    parser.add_argument(
        "--int8-weights", action="store_true", help="of the text model, as the service may hold it"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--table", type=Path, help="markdown file to write")
    parser.add_argument("--plot", type=Path, help="image file to write")
    arguments = parser.parse_args()
    if arguments.command == "tune":
        return _tuning_defaults(parser, arguments)
    quick = arguments.quick
    arguments.split = arguments.split or "test"
    arguments.methods = arguments.methods or (QUICK_METHODS if quick else METHODS)
    arguments.ratios = arguments.ratios or (QUICK_RATIOS if quick else tuple(RATIOS))
    arguments.seeds = arguments.seeds or (1 if quick else 3)
    arguments.clips = arguments.clips or (16 if quick else 36)
    return arguments


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"a share is 0 to 1, got {text}")
    return share


def _tuning_defaults(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> argparse.Namespace:
    arguments.methods = arguments.methods or tuple(GRIDS)
    if fixed := sorted(set(arguments.methods) - set(GRIDS)):
        parser.error(f"nothing to tune in {', '.join(fixed)}")
    arguments.split = arguments.split or "validation"
    arguments.seeds = arguments.seeds or 1
    arguments.clips = arguments.clips or 36
    return arguments


if __name__ == "__main__":
    main()
