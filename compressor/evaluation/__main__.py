"""Measures methods against each other: `python -m compressor.evaluation quality [--quick]`.

The impure edge: arguments, files, progress. The last line on stdout is one JSON object.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from compressor.evaluation.exam import ExamConfig, papers
from compressor.evaluation.examinee import load_examinee, load_layout
from compressor.evaluation.methods import METHODS, RATIOS, Entry, build, entries
from compressor.evaluation.plot import draw
from compressor.evaluation.quality import Mark, examine
from compressor.evaluation.table import Row, as_json, markdown
from compressor.omni.checkpoint import load_config, selector_config
from compressor.training.scenes import Split
from compressor.training.student import Student
from compressor.weights import EMBEDDED_MODEL, RANDOM_TRAINED_TEXT

QUICK_METHODS = ("full", "omnisift", "omnisift_live", "random_trained", "random", "uniform")
QUICK_RATIOS = (0.25,)


def main() -> None:
    """Run the comparison and write what was asked for."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    rows = _compare(arguments)
    if arguments.table:
        arguments.table.write_text(markdown(rows))
    if arguments.plot:
        draw(rows, arguments.plot)
    if not arguments.table:
        print(markdown(rows))
    print(json.dumps(as_json(rows)), flush=True)


def _compare(arguments: argparse.Namespace) -> list[Row]:
    student = load_examinee(arguments.model)
    random_student = load_examinee(arguments.model, RANDOM_TRAINED_TEXT)
    layout = load_layout(arguments.model)
    header = torch.tensor(layout.header())
    rows = entries(tuple(arguments.methods), tuple(arguments.ratios))
    sizes = selector_config(load_config(arguments.model))
    hidden_size = student.geometry.hidden_size
    marks: dict[Entry, dict[int, list[Mark]]] = defaultdict(lambda: defaultdict(list))
    tokens: dict[Entry, list[int]] = defaultdict(lambda: [0, 0])
    for seed in range(arguments.seeds):
        compressors = [build(row, student.selector, sizes, hidden_size, seed) for row in rows]
        exam = ExamConfig(
            seed, arguments.clips, arguments.questions, split=Split[arguments.split.upper()]
        )
        for number, paper in enumerate(papers(exam, student, layout)):
            for row, compressor in zip(rows, compressors, strict=True):
                reader: Student = random_student if row.has_random_weights else student
                result = examine(paper, compressor, reader, header, 10_000 * seed + number)
                marks[row][seed].extend(result.marks)
                tokens[row][0] += result.tokens_in
                tokens[row][1] += result.tokens_kept
            _progress(seed, number, rows, marks)
    return [Row(row, marks[row], *tokens[row]) for row in rows]


def _progress(
    seed: int,
    number: int,
    rows: Sequence[Entry],
    marks: dict[Entry, dict[int, list[Mark]]],
) -> None:
    asked = marks[rows[0]][seed]
    right = sum(mark.is_right for mark in asked)
    text = f"seed {seed} paper {number}: {rows[0].method} {right} of {len(asked)}"
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["quality"])
    parser.add_argument("--quick", action="store_true", help="a subset, minutes on a CPU")
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--ratios", nargs="+", type=float, choices=sorted(RATIOS))
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--clips", type=int, help="per seed")
    parser.add_argument("--questions", type=int, default=20, help="per clip")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", type=Path, help="markdown file to write")
    parser.add_argument("--plot", type=Path, help="image file to write")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.methods = arguments.methods or (QUICK_METHODS if quick else METHODS)
    arguments.ratios = arguments.ratios or (QUICK_RATIOS if quick else tuple(RATIOS))
    arguments.seeds = arguments.seeds or (1 if quick else 3)
    arguments.clips = arguments.clips or (16 if quick else 36)
    return arguments


if __name__ == "__main__":
    main()
