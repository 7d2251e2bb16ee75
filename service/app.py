"""The composition root: settings in, a running service out."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from pydantic import SecretStr
from ray import serve
from ray.serve import Application
from ray.serve.config import HTTPOptions, RequestRouterConfig
from ray.serve.schema import LoggingConfig

from compressor.omni.checkpoint import load_config
from service.deployments.api import ApiDeployment
from service.deployments.autoscaling import autoscaling
from service.deployments.compressor import CompressorDeployment
from service.deployments.encoder import EncoderDeployment
from service.deployments.ingest import IngestDeployment
from service.deployments.llm import LLMDeployment
from service.deployments.router import SessionRouter
from service.sessions.redis_server import start_redis_server
from service.settings import Replicas, Settings
from service.stop_signals import signals_kept

logger = logging.getLogger(__name__)

APP_NAME = "omnisift"
LET_GO_S = 10.0  # for an ingest replica's sessions to reach their logs
STOP_POLL_S = 0.5
OBJECT_STORE_BYTES = 200 << 20  # chunks travel by gRPC; the default would reserve 30 % of memory
LOGGING = LoggingConfig(log_level="WARNING", enable_access_log=False)
PLACE_RATIO = 0.001  # of a node group's resource: it says where, not how many
# by keywords in a dict, since the model's own signature hides them from the type checker
BY_SESSION = RequestRouterConfig.model_validate(
    {"request_router_class": SessionRouter, "request_routing_stats_period_s": 1.0}
)


def build_app(settings: Settings) -> Application:
    """The Ray Serve application; replica counts and resources come from `settings`.

    Requires `settings.redis_url`: a cluster cannot reach a server that one of its nodes started.
    API keys are read here, once, so that no replica needs their file.

    Raises:
        OSError: The file of API keys cannot be read.
        ValueError: It is malformed.
    """
    settings = settings.model_copy(update={"auth": settings.auth.resolved()})
    encoder = _deploy(EncoderDeployment, settings.encoder, settings, max_ongoing_requests=64).bind(
        settings
    )
    compressor = _deploy(
        CompressorDeployment,
        settings.compressor,
        settings,
        max_ongoing_requests=256,
        request_router_config=BY_SESSION,
    ).bind(settings)
    llm = _deploy(
        LLMDeployment,
        settings.llm,
        settings,
        max_ongoing_requests=256,
        request_router_config=BY_SESSION,
    ).bind(settings)
    ingest = _deploy(
        IngestDeployment,
        settings.ingest,
        settings,
        max_ongoing_requests=256,
        request_router_config=BY_SESSION,
        # told to stop, it waits for another replica first, and lets go of its sessions then
        graceful_shutdown_timeout_s=settings.ingest.drain_s + LET_GO_S,
    ).bind(settings, encoder, compressor, llm)
    api = serve.ingress()(ApiDeployment)
    app: Application = _deploy(api, settings.api, settings, max_ongoing_requests=1024).bind(
        settings, Encoder=encoder, Compressor=compressor, LLM=llm, Ingest=ingest
    )
    return app


def _deploy(cls: type[Any], part: Replicas, settings: Settings, **options: Any) -> Any:
    name = cls.__name__.removesuffix("Deployment")
    scaling = autoscaling(name, part, settings)
    replicas = {"autoscaling_config": scaling} if scaling else {"num_replicas": part.replicas}
    return serve.deployment(
        cls,
        name=name,
        **replicas,
        health_check_period_s=settings.health_check_s,
        graceful_shutdown_wait_loop_s=STOP_POLL_S,
        ray_actor_options=_resources(part),
        logging_config=LOGGING,
        **options,
    )


def _resources(part: Replicas) -> dict[str, Any]:
    reserved: dict[str, Any] = {"num_cpus": part.num_cpus, "num_gpus": part.num_gpus}
    if part.node_group is not None:
        reserved["resources"] = {part.node_group: PLACE_RATIO}
    return reserved


def application(args: dict[str, str]) -> Application:
    """The same by the settings in the environment: what a cluster's Serve config imports.

    Args:
        args: None; settings are environment variables, as for `make serve`.

    Raises:
        ValueError: A setting is missing or wrong, or there are arguments.
    """
    if args:
        raise ValueError(f"settings are environment variables, not arguments: {sorted(args)}")
    settings = Settings()
    if settings.redis_url is None:
        raise ValueError("OMNISIFT_REDIS_URL is required on a cluster")
    return build_app(settings)


@contextmanager
def running(settings: Settings, *, show_logs: bool = True) -> Iterator[str]:
    """Run the whole service on this machine: Redis unless given, Ray, every deployment.

    Args:
        settings: Port 0 picks a free one.
        show_logs: Whether the replicas' logs appear on this process's stderr.

    Yields:
        The base URL, once everything answers. Leaving the context stops all that it started.

    Raises:
        OSError: There is no such model or file of API keys; nothing was started.
        ValueError: It is damaged or no Qwen2.5-Omni, or no API keys, likewise.
        StoreUnavailable: Redis could not be started.
    """
    load_config(settings.model)
    settings.auth.keyring()
    with _redis(settings) as redis_url:
        port = settings.port or _free_port(settings.host)
        complete = settings.model_copy(update={"redis_url": SecretStr(redis_url), "port": port})
        try:
            _start_ray(complete, show_logs=show_logs)
            serve.run(build_app(complete), name=APP_NAME, route_prefix="/", logging_config=LOGGING)
            try:
                yield f"http://{settings.host}:{port}"
            finally:
                _drain()
                # serve.shutdown() would kill its controller in mid-call, and Ray would complain
                serve.delete(APP_NAME)
        finally:
            ray.shutdown()


def _drain() -> None:
    """Refuse what is new, and bring what has arrived into the logs while all stages still run."""
    try:
        for name in ("Api", "Ingest"):
            handle = serve.get_deployment_handle(name, APP_NAME)
            handle.broadcast("drain").results(timeout_s=LET_GO_S, return_exceptions=True)
    except Exception as error:
        # it stops either way
        logger.warning("stopped without a drain: %s", error)


@contextmanager
def _redis(settings: Settings) -> Iterator[str]:
    if settings.redis_url is not None:
        yield settings.redis_url.get_secret_value()
        return
    if settings.redis_dir is not None:
        settings.redis_dir.mkdir(parents=True, exist_ok=True)
    with start_redis_server(data_dir=settings.redis_dir, is_supervised=True) as url:
        yield url


def _start_ray(settings: Settings, *, show_logs: bool) -> None:
    parts = (settings.api, settings.ingest, settings.encoder, settings.compressor, settings.llm)
    # logical CPUs: replicas that do not fit would wait forever without an error
    needed_cpus = sum((part.max_replicas or part.replicas) * part.num_cpus for part in parts)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # NOTE: it takes SIGTERM for itself, and would end the process without a drain
    with signals_kept():
        ray.init(
            num_cpus=max(2, int(needed_cpus) + 1),
            include_dashboard=False,
            log_to_driver=show_logs,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    serve.start(
        http_options=HTTPOptions(host=settings.host, port=settings.port), logging_config=LOGGING
    )


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


__all__ = ["APP_NAME", "application", "build_app", "running"]
