"""`omnisift bench`: options, progress and the result. Knows nothing about media."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clients.cli import exits
from clients.cli.bench.tally import Tally, summary, table
from clients.cli.console import Console
from clients.cli.quantities import count, not_negative, positive
from clients.sdk import AsyncClient, MissingDependency

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser

QUESTION = "What is seen?"


def add_bench(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "bench",
        help="measure lag and answers under made-up publishers",
        description="Stream moving shapes from many publishers at once and ask about them. Their "
        "encoding takes this machine's time: run it elsewhere than the service.",
    )
    parser.add_argument("--publishers", type=count, default=1, metavar="N")
    parser.add_argument(
        "--duration", type=positive, default=20.0, metavar="S", help="of each stream"
    )
    parser.add_argument(
        "--ramp", type=not_negative, default=0.0, metavar="S", help="begin over so long"
    )
    parser.add_argument(
        "--ask-every",
        type=not_negative,
        default=5.0,
        metavar="S",
        help="of each session; 0: no questions",
    )
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--profile", help="compression of the sessions")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")


def run_bench(options: argparse.Namespace, console: Console) -> int:
    tallies = asyncio.run(_run(options, console))
    told = summary(tallies, options.duration)
    if options.json:
        console.json(told)
    else:
        console.table(table(tallies))
        for failure in (tally.failure for tally in tallies if tally.failure):
            console.note(f"a publisher failed: {failure}")
        if told["late_frames"]:
            console.note(f"this machine was too slow for {told['late_frames']} of the pictures")
    return exits.FAILED if told["publishers_failed"] or not told["chunks"] else exits.DONE


async def _run(options: argparse.Namespace, console: Console) -> list[Tally]:
    try:
        from clients.cli.bench.load import Load, run_load
    except ImportError as exc:
        raise MissingDependency(
            f"publishing needs {exc.name}, which is not installed: pip install aiortc av numpy"
        ) from exc

    def show(tallies: Sequence[Tally]) -> None:
        told = summary(tallies, options.duration)
        line = f"{told['chunks']} chunks, {told['questions']} answers"
        if not options.json:
            console.progress(line, state="", now_s=time.monotonic())

    load = Load(
        num_publishers=options.publishers,
        duration_s=options.duration,
        ramp_s=options.ramp,
        ask_every_s=options.ask_every,
        question=options.question,
        profile=options.profile,
    )
    async with AsyncClient(options.url, api_key=options.api_key) as client:
        return await run_load(client, load, show)


__all__ = ["add_bench", "run_bench"]
