"""Whether another session is taken, by what the replicas report; each Api replica asks them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ray.serve.handle import DeploymentHandle

from service.admission.decision import PLACE_S, AdmissionConfig, Limit, Report, shortage
from service.clock import Clock
from service.errors import AtCapacity, StoreUnavailable, Unavailable
from service.metrics import Metrics
from service.sessions.record import SessionStatus
from service.sessions.store import SessionStore

logger = logging.getLogger(__name__)

KINDS = ("Ingest", "Encoder", "Compressor", "LLM")
FRESH_S = 1.0  # reports are good for so long: a burst of new sessions asks once
ANSWER_S = 1.0
RETRY_S = 5.0
MAX_WAITING = 64  # sessions that wait for their media; more count as so many


class RemoteAdmission:
    """Refuses new sessions where the service is full or stops."""

    def __init__(
        self,
        handles: Mapping[str, DeploymentHandle[Any]],
        store: SessionStore,
        metrics: Metrics,
        clock: Clock,
        config: AdmissionConfig,
    ) -> None:
        self.is_draining = False
        self._handles = handles
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._config = config
        self._reading = asyncio.Lock()
        self._reports: Mapping[str, Sequence[Report]] = {}
        self._read_s = float("-inf")
        self._num_entering = 0  # admitted, and not in the store yet

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Hold a place for another session while it is made.

        Raises:
            AtCapacity: All replicas of a kind are at a limit.
            Unavailable: The service stops.
        """
        if self.is_draining:
            self._count("draining")
            raise Unavailable("the service is shutting down", retry_after_s=RETRY_S)
        short = await self.shortage()
        if short is not None:
            self._count(short.name)
            raise AtCapacity(stage=short.name, limit=short.value, retry_after_s=RETRY_S)
        self._num_entering += 1
        try:
            yield
        finally:
            self._num_entering -= 1

    async def shortage(self) -> Limit | None:
        """The limit at which the service is full; None where it takes another session."""
        reports, num_waiting = await self.reports(), await self.num_waiting()
        # no await between this and the place that is held
        return shortage(reports, self._config, num_waiting=num_waiting + self._num_entering)

    async def num_waiting(self) -> int:
        """Sessions made a moment ago, by any Api replica, that no ingest replica counts yet."""
        since_s = self._clock() - PLACE_S
        try:
            newest = await self._store.list(limit=MAX_WAITING)
        except StoreUnavailable:
            return 0  # nor can another be made
        return sum(
            one.created_at_s > since_s and one.status is SessionStatus.CREATED for one in newest
        )

    def _count(self, reason: str) -> None:
        self._metrics.sessions_refused_total.labels(reason=reason).inc()

    async def reports(self) -> Mapping[str, Sequence[Report]]:
        """What each replica reports of itself, by deployment; a second old at most."""
        async with self._reading:
            now_s = asyncio.get_running_loop().time()
            if now_s - self._read_s >= FRESH_S:
                replies = await asyncio.gather(*(self._ask(kind) for kind in KINDS))
                self._reports = dict(zip(KINDS, replies, strict=True))
                self._read_s = now_s
            return self._reports

    async def _ask(self, kind: str) -> Sequence[Report]:
        call = self._handles[kind].broadcast("record_autoscaling_stats")
        try:
            replies = await call.results_async(timeout_s=ANSWER_S, return_exceptions=True)
        except Exception as error:
            logger.warning("no reports of %s: %s", kind, error)
            return ()
        return [reply for reply in replies if isinstance(reply, dict)]
