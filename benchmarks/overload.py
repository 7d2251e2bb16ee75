"""Three times as many live streams as the service can take: do those that it admits keep their lag?

    python -m benchmarks.overload [--factor 3] [--seconds 40]

Starts the whole service on this machine. First one stream alone, then as many as the service admits
when publishers come one after another, then `factor` times as many who all come at once and ask
again whenever they are refused. Publishers share the machine, and send a clip that is encoded
already. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import logging
import tempfile
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.crowd import Visits, crowd, make_clip
from benchmarks.percentiles import percentile
from clients.sdk import AsyncClient
from clients.sdk.events import ChunkEvent, DroppedEvent
from service.clock import steady_clock
from service.settings import Settings, export_ray_environment

SETTLE_S = 10.0  # connections, and what their beginning costs
REST_S = 15.0  # until what a crowd did is in nobody's reports any more
ONE_BY_ONE_S = 2.0
PATIENCE_S = 15.0  # of the one for whom there may be no room
MAX_STREAMS = 64


@dataclass(frozen=True, slots=True)
class Phase:
    """What one crowd was served.

    Attributes:
        name: `alone`, `full`, `overload`.
        num_offered: Publishers who came.
        visits: What became of them.
        lags_s: Glass to context of every chunk of admitted sessions, once things had settled.
        num_dropped: Chunks given up.
        host_busy: Share of the machine's processors in use meanwhile.
    """

    name: str
    num_offered: int
    visits: Visits
    lags_s: Sequence[float]
    num_dropped: int
    host_busy: float

    @property
    def lag_p95_s(self) -> float:
        return percentile(self.lags_s, 0.95)

    def as_row(self) -> str:
        visits = self.visits
        return (
            f"{self.name:<10}{self.num_offered:>8}{len(visits.session_ids):>9}"
            f"{visits.num_refused:>9}{len(self.lags_s):>8}{self.num_dropped:>9}"
            f"{percentile(self.lags_s, 0.5):>8.2f} s{self.lag_p95_s:>7.2f} s{self.host_busy:>7.0%}"
        )

    def as_json(self) -> dict[str, float]:
        return {
            f"{self.name}_offered": self.num_offered,
            f"{self.name}_admitted": len(self.visits.session_ids),
            f"{self.name}_refusals": self.visits.num_refused,
            f"{self.name}_turned_away": self.visits.num_turned_away,
            f"{self.name}_lost": self.visits.num_failed,
            f"{self.name}_chunks": len(self.lags_s),
            f"{self.name}_dropped": self.num_dropped,
            f"{self.name}_lag_p50_s": round(percentile(self.lags_s, 0.5), 3),
            f"{self.name}_lag_p95_s": round(self.lag_p95_s, 3),
            f"{self.name}_host_busy": round(self.host_busy, 3),
        }


HEAD = (
    f"{'':<10}{'offered':>8}{'admitted':>9}{'refused':>9}{'chunks':>8}{'dropped':>9}"
    f"{'lag p50':>10}{'p95':>9}{'host':>7}"
)


def main() -> None:
    """Run all of it and print what was found."""
    arguments = _parse()
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    export_ray_environment()
    from service.app import running

    with tempfile.TemporaryDirectory(prefix="omnisift-overload-") as folder:
        print("making the clip", flush=True)
        clip = make_clip(Path(folder), SETTLE_S + arguments.seconds + 30.0)
        print("starting the service", flush=True)
        with running(Settings(host="127.0.0.1", port=0, log_level="ERROR"), show_logs=False) as url:
            phases = asyncio.run(_run(url, clip, arguments))
    alone, full, overload = phases
    summary = {
        "benchmark": "overload",
        "factor": arguments.factor,
        "cores": psutil.cpu_count(),
        **alone.as_json(),
        **full.as_json(),
        **overload.as_json(),
        "lag_p95_overload_vs_alone": round(overload.lag_p95_s / alone.lag_p95_s, 3),
        "lag_p95_overload_vs_full": round(overload.lag_p95_s / full.lag_p95_s, 3),
    }
    print(json.dumps(summary), flush=True)


async def _run(url: str, clip: Path, arguments: argparse.Namespace) -> tuple[Phase, Phase, Phase]:
    print(HEAD, flush=True)
    alone = await _phase("alone", url, clip, 1, arguments.seconds)
    room = await _room(url, clip)
    full = await _phase("full", url, clip, room, arguments.seconds)
    overload = await _phase("overload", url, clip, arguments.factor * room, arguments.seconds)
    return alone, full, overload


async def _room(url: str, clip: Path) -> int:
    """How many streams are admitted when one comes after another."""
    room = await _fill(url, clip, MAX_STREAMS)
    if not room:
        raise SystemExit("not even one stream is admitted")
    return room


async def _fill(url: str, clip: Path, most: int) -> int:
    if not most:
        return 0
    async with crowd(url, clip, 1) as visits:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await visits.has_entered.wait()
        if not visits.has_entered.is_set():
            return 0
        await asyncio.sleep(ONE_BY_ONE_S)
        return 1 + await _fill(url, clip, most - 1)


async def _phase(name: str, url: str, clip: Path, size: int, seconds: float) -> Phase:
    now = steady_clock()
    await asyncio.sleep(REST_S)
    async with crowd(url, clip, size) as visits:
        await asyncio.sleep(SETTLE_S)
        settled_s = now()
        psutil.cpu_percent()
        await asyncio.sleep(seconds)
        host_busy = psutil.cpu_percent() / 100
    lags_s, num_dropped = await _lags(url, visits.session_ids, settled_s)
    phase = Phase(name, size, visits, lags_s, num_dropped, host_busy)
    print(phase.as_row(), flush=True)
    return phase


async def _lags(url: str, session_ids: Sequence[str], since_s: float) -> tuple[list[float], int]:
    lags_s, num_dropped = [], 0
    async with AsyncClient(url) as client:
        for session_id in session_ids:
            session = await client.get_session(session_id)
            async with aclosing(client.events(session_id)) as events:
                async for event in events:
                    if isinstance(event, DroppedEvent):
                        num_dropped += 1
                    elif isinstance(event, ChunkEvent) and event.lag_s is not None:
                        end_s = (session.started_at_s or 0.0) + event.end_s
                        lags_s += [event.lag_s] if end_s > since_s else []
    return lags_s, num_dropped


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--factor", type=int, default=3, help="publishers per stream admitted")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each phase")
    return parser.parse_args()


if __name__ == "__main__":
    main()
