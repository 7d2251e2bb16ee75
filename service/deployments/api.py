"""Ray adapter of the HTTP side: builds the ASGI application over the other deployments."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import SecretStr
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from service.api.app import ApiConfig, create_app
from service.api.backend import ModelInfo
from service.api.clips import ClipsConfig
from service.api.limits import BodyLimits
from service.api.replays import ReplaysConfig
from service.api.watchers import WatchersConfig
from service.clock import steady_clock
from service.deployments.admission import RemoteAdmission
from service.deployments.hangup import DisconnectOnCancel
from service.deployments.ingest_config import ingest_config
from service.deployments.remote import RemoteIngest, RemoteLLM, RemoteSources, expositions
from service.deployments.replica import Replica
from service.egress import AllowList
from service.errors import ServiceError
from service.ingest.rescue import Rescue
from service.metrics import merge_expositions
from service.settings import Settings
from service.traced import TracedLLM


class RemoteBackend:
    """`service.api.backend.Backend` over Ray Serve handles."""

    def __init__(
        self, settings: Settings, replica: Replica, handles: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        self._replica = replica
        self._handles = handles
        self.store = replica.connect_store()
        self.quotas = replica.connect_quotas()
        self.model = ModelInfo(settings.model_name, created_at_s=0)
        llm = RemoteLLM(handles["LLM"], self.store)
        self.llm = TracedLLM(llm, replica.tracing, self.model.name)
        self.ingest = RemoteIngest(handles["Ingest"], self.store)
        self.sources = RemoteSources(handles["Ingest"], self.store)
        self.admission = RemoteAdmission(
            handles, self.store, replica.metrics, steady_clock(), settings.admission_config
        )

    def admit(self) -> AbstractAsyncContextManager[None]:
        return self.admission.admit()

    async def checks(self) -> Mapping[str, str]:
        """Redis answers, and every deployment has a replica that does."""
        parts = await expositions(self._handles)
        answering = {deployment for deployment, _, _ in parts}
        states = {name: "ok" if name in answering else "no replica" for name in self._handles}
        if self.admission.is_draining:
            states["Api"] = "draining"
        try:
            await self.store.ping()
        except ServiceError as error:
            return {**states, "Redis": error.message}
        return {**states, "Redis": "ok"}

    async def shortage(self) -> str | None:
        short = await self.admission.shortage()
        return None if short is None else short.name

    async def exposition(self) -> bytes:
        return merge_expositions([self._replica.exposition(), *await expositions(self._handles)])


class ApiDeployment:
    """One HTTP replica."""

    def __init__(self, settings: Settings, **handles: DeploymentHandle[Any]) -> None:
        self._settings = settings
        self._backend = backend = RemoteBackend(settings, Replica(settings), handles)
        self._rescue = Rescue(
            backend.store.sources, backend.sources.resume, lambda: backend.admission.is_draining
        )
        self._rescue.start()

    async def drain(self) -> None:
        """Take no more sessions: the whole service stops."""
        self._backend.admission.is_draining = True

    def __serve_build_asgi_app__(self) -> ASGIApp:
        limits, auth, clips = self._settings.api, self._settings.auth, self._settings.clips
        assert auth.token_secret is not None, "service.app sets it before it deploys"
        ingest = ingest_config(self._settings)
        config = ApiConfig(
            default_profile=self._settings.profile,
            bodies=BodyLimits(
                json_bytes=limits.max_json_bytes,
                sdp_bytes=limits.max_sdp_bytes,
                chat_bytes=clips.max_body_bytes,
                max_large=clips.max_at_once,
                large_s=clips.upload_s,
            ),
            clips=ClipsConfig(wait_s=clips.wait_s),
            write_s=limits.write_s,
            watchers=WatchersConfig(
                keep_alive_s=limits.keep_alive_s,
                max_streams=limits.max_event_streams,
                max_key_streams=auth.max_event_streams,
                max_stream_bytes=limits.max_stream_bytes,
            ),
            cors_origins=limits.cors_origins,
            ice_servers=limits.ice_servers,
            turn_secret=_bytes(limits.turn_secret),
            keyring=auth.keyring(),
            token_secret=auth.token_secret.get_secret_value().encode(),
            max_token_ttl_s=auth.max_token_ttl_s,
            max_rules=self._settings.rules.max_rules,
            max_upload_bytes=self._settings.sources.max_upload_bytes,
            replays=ReplaysConfig(
                max_bytes=self._settings.sources.max_upload_bytes,
                service=ingest.recording.service,
                chunker=ingest.chunker,
            ),
            webhook_hosts=AllowList.parse(self._settings.rules.webhook_hosts),
        )
        return DisconnectOnCancel(create_app(self._backend, config))


def _bytes(secret: SecretStr | None) -> bytes | None:
    return None if secret is None else secret.get_secret_value().encode()
