"""The processes behind the deployments of the running service."""

import os
import signal

import ray
from ray.serve.context import _get_global_client

from service.app import APP_NAME


def pids(deployment: str) -> dict[str, int]:
    """Process ids of the replicas that run, by the replica's name in leases."""
    client = _get_global_client()
    assert client is not None, "the service runs in this process"
    details = ray.get(client._controller.get_serve_instance_details.remote())
    replicas = details["applications"][APP_NAME]["deployments"][deployment]["replicas"]
    return {
        replica["replica_id"]: replica["pid"]
        for replica in replicas
        if replica["state"] == "RUNNING"
    }


def kill(deployment: str, replica: str | None = None) -> int:
    """SIGKILL a replica, any one if none is named; returns its process id."""
    running = pids(deployment)
    pid = running[replica] if replica is not None else next(iter(running.values()))
    os.kill(pid, signal.SIGKILL)
    return pid
