"""Whether another session is taken, by what the replicas report; each Api replica asks them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ray.serve.handle import DeploymentHandle

from service.admission.decision import AdmissionConfig, Limit, Report, shortage
from service.errors import AtCapacity, Unavailable
from service.metrics import Metrics

logger = logging.getLogger(__name__)

KINDS = ("Ingest", "Encoder", "LLM")
FRESH_S = 1.0  # reports are good for so long: a burst of new sessions asks once
ANSWER_S = 1.0
RETRY_S = 5.0


class RemoteAdmission:
    """Refuses new sessions where the service is full or stops."""

    def __init__(
        self,
        handles: Mapping[str, DeploymentHandle[Any]],
        metrics: Metrics,
        config: AdmissionConfig,
    ) -> None:
        self.is_draining = False
        self._handles = handles
        self._metrics = metrics
        self._config = config
        self._reading = asyncio.Lock()
        self._reports: Mapping[str, Sequence[Report]] = {}
        self._read_s = float("-inf")

    async def admit(self) -> None:
        """Return where another session is taken.

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

    async def shortage(self) -> Limit | None:
        """The limit at which the service is full; None where it takes another session."""
        return shortage(await self._read(), self._config)

    def _count(self, reason: str) -> None:
        self._metrics.sessions_refused_total.labels(reason=reason).inc()

    async def _read(self) -> Mapping[str, Sequence[Report]]:
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
