"""Carries faults out on the running service. Knows nothing about what should come of them."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos import replicas
from chaos.schedule import Fault, Harm, Part
from chaos.weather import CLEAR, ROUGH, SILENT, Network, Weather
from service.sessions.record import SessionId, Stage
from service.sessions.redis_server import RedisServer
from service.sessions.store import SessionStore

STAGES: Mapping[Part, Stage] = {
    Part.INGEST: Stage.INGEST,
    Part.COMPRESSOR: Stage.COMPRESSOR,
    Part.LLM: Stage.LLM,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Which replica a fault hits, None where it is no replica, and whose sessions."""

    fault: Fault
    replica: str | None
    pid: int
    session_ids: Sequence[str]


class Injector:
    """Hits what runs; which of several replicas, the seed decides.

    Args:
        redis: The service's own server.
        store: A connection to it.
        network: Of the publishers.
        seed: Draws the replicas.
    """

    def __init__(
        self, redis: RedisServer, store: SessionStore, network: Network, seed: int
    ) -> None:
        self._redis = redis
        self._store = store
        self._network = network
        self._draw = random.Random(seed)

    async def aim(self, fault: Fault, session_ids: Sequence[str]) -> Target:
        """Choose among the replicas that own a session; stateless ones concern every session."""
        if fault.part in (Part.REDIS, Part.NETWORK):
            return Target(fault, None, 0, session_ids)
        pids = await asyncio.to_thread(replicas.pids, fault.part)
        stage = STAGES.get(fault.part)
        if stage is None:
            replica = self._draw.choice(sorted(pids))
            return Target(fault, replica, pids[replica], session_ids)
        owners = {
            one: (await self._store.get(SessionId(one))).owners.get(stage) for one in session_ids
        }
        owning = sorted(owner for owner in Counter(owners.values()) if owner in pids)
        replica = self._draw.choice(owning or sorted(pids))
        hit = [one for one, owner in owners.items() if owner == replica]
        return Target(fault, replica, pids[replica], hit)

    async def hit(self, target: Target) -> None:
        """Do it; returns when it is over, which for a kill is at once."""
        fault = target.fault
        if fault.part is Part.NETWORK:
            await self._change(ROUGH if fault.harm is Harm.LOSS else SILENT, fault.duration_s)
        elif fault.harm is Harm.PARTITION:
            await _pause(self._redis.pid, fault.duration_s)
        elif fault.part is Part.REDIS:
            await self._restart_redis(fault.duration_s)
        elif fault.harm is Harm.KILL:
            os.kill(target.pid, signal.SIGKILL)
        else:
            await _pause(target.pid, fault.duration_s)

    async def _change(self, weather: Weather, duration_s: float) -> None:
        self._network.weather = weather
        try:
            await asyncio.sleep(duration_s)
        finally:
            self._network.weather = CLEAR

    async def _restart_redis(self, away_s: float) -> None:
        self._redis.kill()
        try:
            await asyncio.sleep(away_s)
        finally:
            await asyncio.to_thread(self._redis.start)


async def _pause(pid: int, duration_s: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(duration_s)
    finally:
        os.kill(pid, signal.SIGCONT)


__all__ = ["Injector", "Target"]
