"""Ray adapter of ingest: one replica owns a session's peer, and drains before it goes."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from service.admission.decision import shown_share
from service.clock import steady_clock
from service.deployments.answers import answer, answers
from service.deployments.ingest_config import ingest_config
from service.deployments.remote import RemoteCompressor, RemoteEncoder, RemoteLLM
from service.deployments.replica import Replica
from service.errors import ServiceError
from service.ingest.clip import ClipFile
from service.ingest.config import Surroundings
from service.ingest.playback import Speed
from service.ingest.pull import SourceView
from service.ingest.recording.report import ReplayItem
from service.ingest.whip import WhipAnswer
from service.ingest.worker import IngestWorker
from service.pipeline import Stages
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
        self._worker = IngestWorker(around, ingest_config(settings))

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
        files: Sequence[ClipFile],
        *,
        steal_from: str | None = None,
    ) -> ServiceError | None:
        return await answer(self._worker.digest(session_id, files, steal_from=steal_from))

    async def add_source(
        self, session_id: SessionId, url: str, speed: Speed, *, steal_from: str | None = None
    ) -> SourceView | ServiceError:
        call = self._worker.sources.add(session_id, url, speed, steal_from=steal_from)
        return await answer(call)

    async def resume_source(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> bool | ServiceError:
        return await answer(self._worker.sources.resume(session_id, steal_from=steal_from))

    async def sources(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> Sequence[SourceView] | ServiceError:
        return await answer(self._worker.sources.views(session_id, steal_from=steal_from))

    async def remove_source(
        self, session_id: SessionId, source_id: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        call = self._worker.sources.remove(session_id, source_id, steal_from=steal_from)
        return await answer(call)

    async def begin_upload(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> str | ServiceError:
        return await answer(self._worker.sources.begin_upload(session_id, steal_from=steal_from))

    async def append_upload(
        self,
        session_id: SessionId,
        upload_id: str,
        offset: int,
        data: bytes,
        *,
        steal_from: str | None = None,
    ) -> ServiceError | None:
        call = self._worker.sources.append_upload(
            session_id, upload_id, offset, data, steal_from=steal_from
        )
        return await answer(call)

    async def finish_upload(
        self,
        session_id: SessionId,
        upload_id: str,
        speed: Speed,
        *,
        steal_from: str | None = None,
    ) -> SourceView | ServiceError:
        call = self._worker.sources.finish_upload(
            session_id, upload_id, speed, steal_from=steal_from
        )
        return await answer(call)

    async def abort_upload(
        self, session_id: SessionId, upload_id: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        call = self._worker.sources.abort_upload(session_id, upload_id, steal_from=steal_from)
        return await answer(call)

    async def replay(
        self,
        session_id: SessionId,
        upload_id: str,
        is_anyway: bool,
        *,
        steal_from: str | None = None,
    ) -> AsyncIterator[ReplayItem | ServiceError]:
        items = self._worker.sources.replay(
            session_id, upload_id, is_anyway=is_anyway, steal_from=steal_from
        )
        async with aclosing(items):
            async for item in answers(items):
                yield item

    async def record(
        self, session_id: SessionId, seconds: float, *, steal_from: str | None = None
    ) -> str | ServiceError:
        return await answer(self._worker.record(session_id, seconds, steal_from=steal_from))

    async def recording_part(
        self,
        session_id: SessionId,
        recording_id: str,
        number: int,
        *,
        steal_from: str | None = None,
    ) -> bytes | ServiceError | None:
        call = self._worker.recording_part(session_id, recording_id, number, steal_from=steal_from)
        return await answer(call)

    async def drop_recording(
        self, session_id: SessionId, recording_id: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        call = self._worker.drop_recording(session_id, recording_id, steal_from=steal_from)
        return await answer(call)

    async def end(
        self, session_id: SessionId, reason: str, *, steal_from: str | None = None
    ) -> ServiceError | None:
        return await answer(self._worker.end(session_id, reason, steal_from=steal_from))

    async def exposition(self) -> tuple[str, str, bytes]:
        return self._replica.exposition()

    def record_autoscaling_stats(self) -> dict[str, float]:
        # codecs and RTP work on the processor, whatever the models run on
        busy = self._replica.busy_ratio(time.process_time())
        media_s = self._worker.media_s
        shown = sum(map(shown_share, media_s))
        return {
            "sessions": self._worker.num_sessions,
            "shown": shown,
            "arriving": len(media_s) - shown,
            "busy": busy,
            "lag_s": self._worker.lag_s,
            **self._replica.host_stats(),
        }

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
