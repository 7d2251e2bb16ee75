"""A run: live streams, one fault after another, and what came of each."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from chaos import replicas
from chaos.clips import Clip
from chaos.injection import Injector, Target
from chaos.ledger import Account, Ledger, Outcome
from chaos.schedule import Fault, Part
from chaos.stream import LiveStream, Say
from chaos.weather import Network
from clients.sdk import AsyncClient
from service.clock import steady_clock
from service.media.chunk import CHUNK_S
from service.sessions.record import SessionId
from service.sessions.redis_server import RedisServer
from service.sessions.redis_store import RedisSessionStore

RECOVERY_LIMIT_S = 60.0
FIRST_CHUNKS = 5  # a whole pass of the scene, and a bit
# a fault that leaves a gap in the media: ask when a whole pass has been seen since
LEAVES_A_GAP = frozenset({Part.INGEST, Part.REDIS, Part.ENCODER, Part.NETWORK})
GAP_CHUNKS = 5
POLL_S = 0.2
DEPLOYMENTS = ("Ingest", "Encoder", "Compressor", "LLM", "Api")


@dataclass(frozen=True, slots=True)
class Service:
    """The service under test."""

    url: str
    redis: RedisServer


async def run(
    service: Service, clips: Sequence[Clip], faults: Iterable[Fault], *, seed: int, say: Say
) -> Ledger:
    """Stream every clip into a session of its own, and hit the service with every fault in turn.

    Each fault comes when the replicas are complete again and every session has grown.
    """
    network = Network(seed)
    network.install(asyncio.get_running_loop())
    store = RedisSessionStore.connect(service.redis.url)
    async with AsyncClient(service.url) as client:
        streams = [LiveStream(client, clip, say) for clip in clips]
        async with _live(streams):
            trial = _Trial(streams, Injector(service.redis, store, network, seed), say)
            await asyncio.gather(*(stream.grow(FIRST_CHUNKS) for stream in streams))
            say(f"{len(streams)} sessions are live")
            full = await _numbers_of_replicas()
            outcomes = []
            for fault in faults:
                await _complete(full)
                outcomes.append(await trial.suffer(fault))
        accounts = [await _account(store, stream) for stream in streams]
        for stream in streams:
            await client.end_session(stream.session_id)
    await store.aclose()
    return Ledger(seed, outcomes, accounts)


class _Trial:
    """The streams, and what hits them."""

    def __init__(self, streams: Sequence[LiveStream], injector: Injector, say: Say) -> None:
        self._streams = {stream.session_id: stream for stream in streams}
        self._injector = injector
        self._say = say
        self._now = steady_clock()

    async def suffer(self, fault: Fault) -> Outcome:
        wrong = await self._ask_all()
        target = await self._injector.aim(fault, [*self._streams])
        self._say(f"{fault} {target.replica or ''}: {len(target.session_ids)} sessions")
        began_s = self._now()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._injector.hit(target))
            recovering = group.create_task(self._recovery_s(target, began_s + fault.silent_s))
        recovery_s = recovering.result()
        if recovery_s is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECOVERY_LIMIT_S):
                    number = GAP_CHUNKS if fault.part in LEAVES_A_GAP else 1
                    await asyncio.gather(*(one.grow(number) for one in self._streams.values()))
        wrong += await self._ask_all()
        took = "not recovered" if recovery_s is None else f"recovered in {recovery_s:.1f} s"
        self._say(f"{fault}: {took}, {wrong} wrong answers")
        return Outcome(fault, recovery_s, wrong)

    async def _recovery_s(self, target: Target, since_s: float) -> float | None:
        hit = [self._streams[session_id] for session_id in target.session_ids]
        try:
            async with asyncio.timeout(RECOVERY_LIMIT_S):
                if target.fault.part is Part.API:
                    while not await hit[0].is_answered():  # noqa: ASYNC110 - a dead API tells none
                        await asyncio.sleep(POLL_S)
                else:
                    await asyncio.gather(*(stream.reach(since_s) for stream in hit))
        except TimeoutError:
            return None
        return self._now() - since_s

    async def _ask_all(self) -> int:
        asked = await asyncio.gather(*(one.is_answered_right() for one in self._streams.values()))
        return asked.count(False)


@asynccontextmanager
async def _live(streams: Sequence[LiveStream]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = []
        for stream in streams:
            tasks.append(group.create_task(stream.run()))
            await stream.created()
            # cameras do not keep step: their chunks end one after another
            await asyncio.sleep(CHUNK_S / len(streams))
        yield
        for task in tasks:
            task.cancel()


async def _numbers_of_replicas() -> dict[str, int]:
    numbers = {}
    for deployment in DEPLOYMENTS:
        numbers[deployment] = len(await asyncio.to_thread(replicas.pids, deployment))
    return numbers


async def _complete(full: Mapping[str, int]) -> None:
    """Wait until as many replicas run as at the start; not for ever: the next fault then comes."""
    end_s = time.monotonic() + RECOVERY_LIMIT_S
    while time.monotonic() < end_s:
        if await _numbers_of_replicas() == full:
            return
        await asyncio.sleep(POLL_S)


async def _account(store: RedisSessionStore, stream: LiveStream) -> Account:
    records = await store.chunks(SessionId(stream.session_id))
    return stream.account([record.index for record in records])


__all__ = ["Service", "run"]
