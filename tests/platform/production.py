"""Serves the production overlay's own config on this machine, scaled down; run as a program.

Prints `ready URL` once everything answers and stops when its input ends. A process of its own,
since Ray Serve reads settings from the environment when it is imported.
"""

import os
import secrets
import sys
import time
from dataclasses import replace

import ray
import yaml
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from service.manifests.environment import variables
from service.manifests.plan import PROD, Plan, PlannedSettings
from service.manifests.ray_service import ray_service, serve_config
from service.sessions.redis_server import start_redis_server
from service.settings import Replicas, export_ray_environment
from tests.free_port import free_port

# what two cores and one minute cannot have; all the rest is as in production
FEWER = {"num_cpus": 0.05, "num_gpus": 0.0, "replicas": 1}
START_WITHIN_S = 300.0  # of a machine that reads everything from its disk for the first time


def scaled_down(plan: Plan, port: int) -> Plan:
    """The plan on a CPU, with the embedded model and one replica of each kind to begin with."""
    settings = plan.settings
    parts = {
        name: value.model_copy(update=FEWER | {"max_replicas": None})
        for name, value in settings
        if isinstance(value, Replicas)
    }
    # a replica holds 1.4 contexts in full: one session asks for one replica, three for three
    parts["llm"] = settings.llm.model_copy(
        update=FEWER | {"max_replicas": 3, "num_pages": 512, "context_tokens": 5120}
    )
    quick = settings.scaling.model_copy(update={"startup_s": 0.0, "trend_s": 2.0, "hold_s": 4.0})
    values = settings.model_dump() | parts | {"scaling": quick}
    values |= {"device": "cpu", "dtype": "float32", "profile": "live", "host": "127.0.0.1"}
    values |= {"port": port, "log_level": "WARNING", "model": PlannedSettings().model}
    return replace(plan, settings=PlannedSettings.model_validate(values))


def main() -> None:
    """Serve until standard input ends."""
    plan = scaled_down(PROD, free_port())
    with start_redis_server() as redis_url:
        os.environ.update(variables(plan.settings), OMNISIFT_REDIS_URL=redis_url)
        export_ray_environment()
        groups = {group.name: 1.0 for group in plan.groups}
        ray.init(num_cpus=2, resources=groups, include_dashboard=False, log_to_driver=False)
        config = ServeDeploySchema.model_validate(
            yaml.safe_load(yaml.safe_dump(serve_config(plan)))
        )
        serve.start(http_options=config.http_options.model_dump())
        _get_global_client().deploy_apps(config, _blocking=False)
        wait_until_running(plan.settings.port)
        sys.stdin.read()
        ray.shutdown()


def token() -> dict[str, str]:
    """What KubeRay sets in every pod for the manifest's `authOptions`; Ray reads it on import."""
    mode = ray_service(PROD)["spec"]["rayClusterConfig"]["authOptions"]["mode"]
    return {"RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def wait_until_running(port: int) -> None:
    """Say where, once Serve says that it runs."""
    began_s = time.monotonic()
    while True:
        (status,) = serve.status().applications.values() or (None,)
        if status is not None and status.status == "RUNNING":
            print(f"ready http://127.0.0.1:{port}", flush=True)
            return
        if status is not None and status.status == "DEPLOY_FAILED":
            sys.exit(f"failed: {status.message}")
        if time.monotonic() - began_s > START_WITHIN_S:
            sys.exit(f"not running after {START_WITHIN_S:g} s: {status}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
