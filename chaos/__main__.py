"""Live streams while parts of the service are killed: what is lost, and how long it takes.

    python -m chaos [--kills 20] [--pauses 0] [--losses 0] [--partitions 0] [--streams 6]
                    [--seed 0] [--minutes M]

Starts the whole service on this machine (Redis with its writes on disk, Ray), publishes scenes with
known answers over WebRTC and hits the service with a schedule that the seed decides. The last line
is one JSON object; the exit code is 0 if nothing acknowledged was lost, every question was answered
right and everything recovered, else 1.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from chaos.clips import CONTEXT_TOKENS, make_clip
from chaos.run import Service, run
from chaos.schedule import Fault, plan
from service.errors import StoreUnavailable
from service.sessions.redis_server import RedisServer, bundled_redis_server, find_redis_server
from service.settings import (
    AdmissionSettings,
    ApiSettings,
    CompressorSettings,
    EncoderSettings,
    IngestSettings,
    LLMSettings,
    Settings,
    export_ray_environment,
)


def main() -> int:
    """Run it all and print what happened."""
    arguments = _parse()
    began_s = time.monotonic()
    logging.getLogger("aiortc").setLevel(logging.ERROR)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began_s:6.1f} s] {line}", flush=True)

    with tempfile.TemporaryDirectory(prefix="omnisift-chaos-") as folder:
        say(f"making {arguments.streams} clips")
        clips = [make_clip(Path(folder), number) for number in range(arguments.streams)]
        say("starting Redis, Ray Serve and the model")
        with running_service(Path(folder), arguments.streams) as service:
            ledger = asyncio.run(
                run(service, clips, _faults(arguments), seed=arguments.seed, say=say)
            )
            say("stopping")
    print(ledger.as_text())
    print(json.dumps(ledger.as_json()), flush=True)
    return 0 if ledger.is_ok else 1


@contextmanager
def running_service(folder: Path, num_streams: int) -> Iterator[Service]:
    """The whole service, with two replicas of everything.

    Raises:
        StoreUnavailable: There is no redis-server.
    """
    binary = find_redis_server() or bundled_redis_server()
    if binary is None:
        raise StoreUnavailable("no redis-server on this machine; install one")
    export_ray_environment()
    from service.app import running

    redis = RedisServer(binary, folder, is_durable=True)
    redis.start()
    settings = Settings(
        host="127.0.0.1",
        port=0,
        redis_url=redis.url,
        log_level="ERROR",
        admission=AdmissionSettings(by_load=False),  # the streams are there on purpose
        api=ApiSettings(replicas=2),
        ingest=IngestSettings(replicas=2, max_sessions=num_streams),
        encoder=EncoderSettings(replicas=2),
        compressor=CompressorSettings(replicas=2),
        llm=LLMSettings(replicas=2, num_pages=1024, context_tokens=CONTEXT_TOKENS),
    )
    try:
        with running(settings, show_logs=False) as url:
            yield Service(url, redis)
    finally:
        redis.stop()


def _faults(arguments: argparse.Namespace) -> Iterator[Fault]:
    """The schedule, once, or again and again with the next seeds for so many minutes."""
    end_s = time.monotonic() + 60 * (arguments.minutes or 0)
    for seed in count(arguments.seed):
        for fault in plan(
            seed,
            num_kills=arguments.kills,
            num_pauses=arguments.pauses,
            num_losses=arguments.losses,
            num_partitions=arguments.partitions,
        ):
            if arguments.minutes and time.monotonic() > end_s:
                return
            yield fault
        if not arguments.minutes:
            return


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs, of all parts in turn")
    parser.add_argument("--pauses", type=int, default=0, help="replicas that stand still for 4 s")
    parser.add_argument("--losses", type=int, default=0, help="6 s of lost and late datagrams")
    parser.add_argument(
        "--partitions", type=int, default=0, help="6 s without the publishers, 4 s without Redis"
    )
    parser.add_argument("--streams", type=int, default=6, help="live streams")
    parser.add_argument("--seed", type=int, default=0, help="decides order and victims")
    parser.add_argument("--minutes", type=float, help="soak: go on with further seeds for so long")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
