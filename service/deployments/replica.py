"""What every replica has in common: its id, its metrics, its logs, its store, its CPU share."""

import asyncio
import time
from importlib.metadata import version

import psutil
import torch
from ray import serve

from service.access.limits import KeyLimits
from service.deployments.spares import keep_spares
from service.logs import configure_logs
from service.metrics import Metrics
from service.scaling.busy import BusyRatio
from service.sessions.quotas import RedisQuotas
from service.sessions.redis_store import RedisSessionStore, RedisStoreConfig
from service.settings import Settings
from service.tracing import Tracing, TracingConfig


class Replica:
    """One replica's own things; made once, in its constructor."""

    def __init__(self, settings: Settings) -> None:
        context = serve.get_replica_context()
        self.id: str = context.replica_id.unique_id
        self.deployment: str = context.deployment
        self.metrics = Metrics()
        traces = settings.tracing
        self.tracing = Tracing(
            TracingConfig(
                endpoint=traces.endpoint,
                headers={name: value.get_secret_value() for name, value in traces.headers.items()},
                sample_ratio=traces.sample_ratio,
                captures_content=traces.captures_content,
            ),
            deployment=self.deployment,
            replica=self.id,
        )
        self._settings = settings
        self._busy, self._host_busy = BusyRatio(), BusyRatio()
        configure_logs(settings.log_level, deployment=self.deployment)
        torch.set_num_threads(settings.torch_threads)
        self.metrics.build_info.labels(
            version=version("omnisift-live"), model=settings.model_name, profile=settings.profile
        ).set(1)
        keep_spares(settings.spares)

    def connect_store(self) -> RedisSessionStore:
        """The session store, by the settings."""
        settings = self._settings
        assert settings.redis_url is not None, "service.app sets it before it deploys"
        limits = settings.store
        return RedisSessionStore.connect(
            settings.redis_url.get_secret_value(),
            RedisStoreConfig(
                ttl_s=limits.ttl_s,
                ttl_ended_s=limits.ttl_ended_s,
                max_log_chunks=limits.max_log_chunks,
                max_log_bytes=limits.max_log_bytes,
            ),
        )

    def busy_ratio(self, busy_s: float | None = None) -> float:
        """Share of the time spent working lately, by the models or by `busy_s` in all so far."""
        total_s = self.metrics.busy_s if busy_s is None else busy_s
        return self._busy.read(total_s, time.monotonic())

    def host_stats(self) -> dict[str, float]:
        """How busy the machine is that this replica runs on, whoever keeps it so."""
        times = psutil.cpu_times()
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        # time of guests is in that of users already
        guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        cores = float(psutil.cpu_count() or 1)
        busy = self._host_busy.read(sum(times) - guests_s - idle_s, time.monotonic()) / cores
        return {"host_busy": busy, "host_cores": cores}

    def connect_quotas(self) -> RedisQuotas:
        """What API keys use of their limits, likewise."""
        settings = self._settings
        assert settings.redis_url is not None, "service.app sets it before it deploys"
        auth = settings.auth
        return RedisQuotas.connect(
            settings.redis_url.get_secret_value(),
            KeyLimits(
                auth.max_sessions, auth.questions_per_minute, auth.max_questions, auth.max_rules
            ),
            session_s=settings.ingest.max_session_s,
        )

    def exposition(self) -> tuple[str, str, bytes]:
        """(deployment, replica, metrics), as `service.metrics.merge_expositions` takes them.

        Call it on the replica's event loop.
        """
        self.metrics.tasks.set(len(asyncio.all_tasks()))
        return self.deployment, self.id, self.metrics.exposition()
