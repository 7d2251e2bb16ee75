"""Ray adapter of ingest: one replica owns a session's peer, and drains before it goes."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from service.clock import steady_clock
from service.deployments.answers import answer
from service.deployments.remote import RemoteCompressor, RemoteEncoder, RemoteLLM
from service.deployments.replica import Replica
from service.errors import ServiceError
from service.ingest.clip import ClipKind
from service.ingest.config import IngestConfig, Surroundings
from service.ingest.container import ContainerLimits
from service.ingest.liveness import LivenessConfig
from service.ingest.peer import PeerConfig
from service.ingest.whip import WhipAnswer
from service.ingest.worker import IngestWorker
from service.media.chunker import ChunkerConfig
from service.pipeline import PipelineConfig, Stages
from service.sessions.record import SessionId
from service.settings import Settings

POLL_S = 0.25


class IngestDeployment:
    """One ingest replica."""

    def __init__(
        self,
        settings: Settings,
        encoder: DeploymentHandle[Any],
        compressor: DeploymentHandle[Any],
        llm: DeploymentHandle[Any],
    ) -> None:
        self._replica = Replica(settings)
        self._drain_s = settings.ingest.drain_s
        store = self._replica.connect_store()
        stages = Stages(
            RemoteEncoder(encoder), RemoteCompressor(compressor, store), RemoteLLM(llm, store)
        )
        around = Surroundings(
            self._replica.id,
            stages,
            store,
            self._replica.metrics,
            steady_clock(),
            self._replica.tracing,
        )
        self._worker = IngestWorker(around, _config(settings))

    async def offer(
        self, session_id: SessionId, sdp: str, *, steal_from: str | None = None
    ) -> WhipAnswer | ServiceError:
        return await answer(self._worker.offer(session_id, sdp, steal_from=steal_from))

    async def trickle(
        self,
        session_id: SessionId,
        resource_id: str,
        fragment: str,
        if_match: str | None,
        *,
        steal_from: str | None = None,
    ) -> ServiceError | None:
        return await answer(
            self._worker.trickle(session_id, resource_id, fragment, if_match, steal_from=steal_from)
        )

    async def check(
        self, session_id: SessionId, resource_id: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        return await answer(self._worker.check(session_id, resource_id, steal_from=steal_from))

    async def hangup(
        self, session_id: SessionId, resource_id: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        return await answer(self._worker.hangup(session_id, resource_id, steal_from=steal_from))

    async def digest(
        self,
        session_id: SessionId,
        content: bytes,
        kind: ClipKind,
        *,
        steal_from: str | None = None,
    ) -> ServiceError | None:
        return await answer(self._worker.digest(session_id, content, kind, steal_from=steal_from))

    async def end(
        self, session_id: SessionId, reason: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        return await answer(self._worker.end(session_id, reason, steal_from=steal_from))

    async def exposition(self) -> tuple[str, str, bytes]:
        return self._replica.exposition()

    def record_autoscaling_stats(self) -> dict[str, float]:
        # codecs and RTP work on the processor, whatever the models run on
        busy = self._replica.busy_ratio(time.process_time())
        return {"sessions": self._worker.num_sessions, "busy": busy}

    def record_routing_stats(self) -> dict[str, float]:
        return {
            "sessions": self._worker.num_sessions,
            "draining": float(self._worker.is_draining),
        }

    async def drain(self) -> None:
        """Let go of all sessions: the whole service stops."""
        await self._worker.drain("shutdown")

    async def __del__(self) -> None:
        """Ray calls this before it stops the replica: peers are invisible to its own drain."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await self._wait_for_another()
        await self._worker.drain("replica_stops")
        await self._worker.aclose()

    async def _wait_for_another(self) -> None:
        """Publishers that are told to go need a replica to go to: in an update it may be late."""
        while True:
            if not self._worker.num_sessions or await asyncio.to_thread(_is_one_running):
                return
            await asyncio.sleep(POLL_S)


def _is_one_running() -> bool:
    """Whether some ingest replica takes sessions; this one has left their number."""
    context = serve.get_replica_context()
    application = serve.status().applications.get(context.app_name)
    deployment = application and application.deployments.get(context.deployment)
    states = deployment.replica_states.items() if deployment else ()
    return any(state == "RUNNING" and number > 0 for state, number in states)


def _config(settings: Settings) -> IngestConfig:
    limits = settings.ingest
    return IngestConfig(
        has_thumbnails=settings.store.thumbnails,
        max_sessions=limits.max_sessions,
        udp_ports=limits.udp_ports,
        liveness=LivenessConfig(
            no_media_s=limits.no_media_s,
            idle_s=limits.idle_s,
            max_session_s=limits.max_session_s,
        ),
        chunker=ChunkerConfig(max_pixels=limits.max_pixels),
        pipeline=PipelineConfig(max_pending_chunks=limits.max_pending_chunks),
        peer=PeerConfig(
            ice_servers=tuple(limits.ice_servers), max_frame_pixels=limits.max_frame_pixels
        ),
        clip=ContainerLimits(
            max_frame_pixels=limits.max_frame_pixels,
            max_duration_s=settings.clips.max_clip_s,
            refuses_longer=True,
        ),
    )
