"""Trains the embedded model: `python -m compressor.training --help`.

The impure edge: arguments, clock, files, progress. Each plan starts from a snapshot of the one
before it: scratch, frozen, sifted. A run that was cut goes on with `--resume` and else the same
arguments. `--out` gets a log (`log.jsonl`), a plot of it (`loss.svg`) and the weights.
"""

import argparse
import json
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from compressor.omni.chat import ChatLayout
from compressor.omni.geometry import Geometry, thinker_config
from compressor.training.curve import draw
from compressor.training.schedule import PLANS, Progress, calibrates_selector
from compressor.training.selection import QUIET_SCORE
from compressor.training.snapshot import (
    PLACE_FILE,
    SNAPSHOT_FILE,
    export,
    export_text,
    load_checkpoint,
    load_place,
    load_snapshot,
    save_place,
    save_snapshot,
)
from compressor.training.student import Student
from compressor.training.tokenizer import vocab_size, word_tokenizer
from compressor.training.trainer import Place, Trainer, TrainerConfig

LOG_FILE = "log.jsonl"


def embedded_geometry(vocab_size: int) -> Geometry:
    """Sizes of the embedded model: 4.1 M parameters."""
    return Geometry(
        hidden_size=192,
        num_layers=5,
        num_heads=6,
        num_kv_heads=2,
        mlp_size=576,
        vocab_size=vocab_size,
        audio_size=128,
        audio_layers=3,
        audio_heads=4,
        vision_size=128,
        vision_layers=4,
        vision_heads=4,
        selector_size=96,
        selector_heads=4,
    )


def main() -> None:
    """Train, write a snapshot after every stage and the checkpoint at the end."""
    arguments = _arguments()
    torch.set_float32_matmul_precision("high")
    # cuDNN plans anew for every length, and the live profile makes ever new ones
    torch.backends.cuda.enable_cudnn_sdp(False)
    device = torch.device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(arguments.threads)
    tokenizer = word_tokenizer()
    geometry = embedded_geometry(vocab_size(tokenizer))
    student = Student(geometry, arguments.seed)
    first, place = _load(arguments, student, tokenizer)
    layout = ChatLayout(tokenizer, thinker_config(geometry))
    config = TrainerConfig(
        arguments.seed,
        arguments.batch_s,
        arguments.workers,
        arguments.measure_every_s,
        cache_batches=arguments.cache_batches,
        cache_s=arguments.cache_s,
        asks_again=arguments.ask_again,
        is_bfloat16=arguments.bfloat16,
    )
    trainer = Trainer(student, layout, config, device)
    _run(trainer, arguments, first, place)
    if arguments.average:
        start = Student(geometry, arguments.seed)
        _read(arguments.start, start, tokenizer)
        student.average_with(start)
    if arguments.export:
        quiet_score = QUIET_SCORE if calibrates_selector(PLANS[arguments.plan]) else 0.0
        folder = export(arguments.export, student, tokenizer, {}, quiet_score=quiet_score)
        print(f"checkpoint written to {folder}", flush=True)
    if arguments.export_text:
        export_text(arguments.export_text, student)
        print(f"text model written to {arguments.export_text}", flush=True)


def _load(
    arguments: argparse.Namespace, student: Student, tokenizer: PreTrainedTokenizerBase
) -> tuple[int, Place | None]:
    """Read the weights to start from, and where to go on."""
    if arguments.resume:
        return load_place(arguments.out / PLACE_FILE, student)
    if arguments.start:
        _read(arguments.start, student, tokenizer)
    return 0, None


def _read(path: Path, student: Student, tokenizer: PreTrainedTokenizerBase) -> None:
    if path.is_dir():
        load_checkpoint(path, student, tokenizer)
    else:
        load_snapshot(path, student)


def _run(trainer: Trainer, arguments: argparse.Namespace, first: int, place: Place | None) -> None:
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    stages = PLANS[arguments.plan]
    with (out / LOG_FILE).open("a" if arguments.resume else "w") as log:
        for number, stage in enumerate(stages[first:], first):

            def report(record: dict[str, object], number: int = number) -> None:
                line = json.dumps({"plan": arguments.plan, **record})
                print(line, flush=True)
                log.write(line + "\n")
                log.flush()
                if trainer.place is not None:
                    save_place(out / PLACE_FILE, trainer.student, number, trainer.place)

            steps = arguments.steps and max(1, round(arguments.steps * stage.share))
            seconds = arguments.seconds and arguments.seconds * stage.share
            trainer.train(stage, Progress(steps, seconds), time.monotonic, report, place)
            place = None
            save_snapshot(out / SNAPSHOT_FILE, trainer.student)
            _draw(out)
    (out / PLACE_FILE).unlink(missing_ok=True)


def _draw(out: Path) -> None:
    if find_spec("matplotlib") is None:
        print("no plot of the loss: it needs pip install 'omnisift-live[train]'", flush=True)
        return
    lines = (out / LOG_FILE).read_text().splitlines()
    draw([json.loads(line) for line in lines], out / "loss.svg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=sorted(PLANS), default="scratch")
    parser.add_argument("--start", type=Path, help="snapshot or checkpoint folder to start from")
    parser.add_argument("--out", type=Path, default=Path("artifacts/training"))
    parser.add_argument(
        "--average",
        action="store_true",
        help="export the mean of the weights that --start gave and those that training led to",
    )
    parser.add_argument("--export", type=Path, help="folder for the finished checkpoint")
    parser.add_argument("--export-text", type=Path, help="file for the finished text model alone")
    parser.add_argument("--seconds", type=float, help="time limit of the whole plan")
    parser.add_argument("--steps", type=int, help="step limit of the whole plan")
    parser.add_argument("--batch-s", type=int, default=640, help="seconds of clip per step")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw scenes")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU")
    parser.add_argument("--measure-every-s", type=float, default=60.0)
    parser.add_argument("--cache-batches", type=int, default=1000)
    parser.add_argument("--cache-s", type=float, default=600.0)
    parser.add_argument(
        "--ask-again",
        action=argparse.BooleanOptionalAction,
        default=not torch.cuda.is_available(),
        help="ask other questions about cached tokens each time",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available(),
        help="compute products in bfloat16: faster where the processor has it",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--resume", action="store_true", help="go on with the run cut in --out")
    arguments = parser.parse_args()
    if arguments.resume and not (arguments.out / PLACE_FILE).exists():
        parser.error(f"nothing to resume: no {PLACE_FILE} in {arguments.out}")
    if arguments.average and not arguments.start:
        parser.error("--average needs --start")
    if arguments.seconds is None and arguments.steps is None:
        parser.error("give --seconds or --steps")
    return arguments


if __name__ == "__main__":
    main()
