"""Ray adapter of the compressor: session-affine, one owner per session."""

from service.compression.worker import CompressorWorker
from service.deployments.answers import answer
from service.deployments.replica import Replica
from service.errors import ServiceError
from service.media.chunk import EncodedChunk
from service.sessions.record import ChunkRecord, SessionId
from service.settings import Settings
from service.tracing import Carrier, SpanKind


class CompressorDeployment:
    """One compressor replica."""

    def __init__(self, settings: Settings) -> None:
        self._replica = Replica(settings)
        self._worker = CompressorWorker.from_checkpoint(
            settings.model,
            self._replica.connect_store(),
            self._replica.metrics,
            replica=self._replica.id,
            lease_s=settings.compressor.lease_s,
            max_sessions=settings.compressor.max_sessions,
            device=settings.device,
        )

    async def compress(
        self,
        session_id: SessionId,
        chunk: EncodedChunk,
        *,
        steal_from: str | None = None,
        parent: Carrier | None = None,
    ) -> ChunkRecord | ServiceError:
        with self._replica.tracing.span("Compressor.compress", parent=parent, kind=SpanKind.SERVER):
            return await answer(self._worker.compress(session_id, chunk, steal_from=steal_from))

    async def close(self, session_id: SessionId, *, steal_from: str | None = None) -> None:
        del steal_from  # it has served its purpose: the router read it
        await self._worker.close(session_id)

    async def exposition(self) -> tuple[str, str, bytes]:
        return self._replica.exposition()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"sessions": self._worker.num_sessions, "busy": self._replica.busy_ratio()}

    def record_routing_stats(self) -> dict[str, float]:
        return {"sessions": self._worker.num_sessions}

    async def __del__(self) -> None:
        """Ray calls this before it stops the replica, when the last call is done."""
        await self._worker.drain()
