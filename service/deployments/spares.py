"""Processes in reserve on each node: a replica that replaces a dead one starts in it at once.

Starting a process and importing torch and transformers takes about five seconds, most of what a
session waits for when the only replica of a kind dies. So one replica of each node, whichever holds
the lock, has Ray start a process ahead of need; `service.deployments.preload` fills it. Ray takes
idle processes before it starts new ones.

Everything here that is private to Ray is used in this module only; Ray is pinned.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import node_manager_pb2, node_manager_pb2_grpc

logger = logging.getLogger(__name__)

# without types of their own
RAY: Any = ray
MESSAGES: Any = node_manager_pb2
SERVICES: Any = node_manager_pb2_grpc

CALM_S = 5.0  # after the start of a replica: others are starting too
YIELD_S = 8.0  # a spare has just been taken: first those recover who wait for it
PERIOD_S = 1.0
START_S = 30.0  # a process that is not there after this long is asked for again
KEEP_S = 7 * 86_400  # Ray ends idle processes above the number of CPUs; not these
PYTHON = 0  # ray.rpc.Language
IDLE_TITLE = "ray::IDLE"


def keep_spares(number: int) -> None:
    """Keep so many processes in reserve on this node for as long as this replica lives."""
    if number > 0 and Path("/proc").is_dir():
        Thread(target=_keep, args=(number,), name="spares", daemon=True).start()


def are_wanted() -> bool:
    """Whether this node keeps spares; safe in any process of Ray's, however young."""
    return _lock_file().exists()


def _keep(number: int) -> None:
    time.sleep(CALM_S)
    with _lock_file().open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits; freed when its holder dies, however that happens
        while True:
            try:
                _refill(number)
            except Exception as error:
                logger.warning("no spare process: %s", error)
                time.sleep(START_S)
            time.sleep(PERIOD_S)


def _refill(number: int) -> None:
    if _num_idle() >= number:
        return
    time.sleep(YIELD_S)
    _prestart(number - _num_idle())
    end_s = time.monotonic() + START_S
    while _num_idle() < number and time.monotonic() < end_s:
        time.sleep(PERIOD_S)


def _prestart(number: int) -> None:
    node_id = ray.get_runtime_context().get_node_id()
    node = next(node for node in RAY.nodes() if node["NodeID"] == node_id)
    request = MESSAGES.PrestartWorkersRequest(
        language=PYTHON, num_workers=number, keep_alive_duration_secs=KEEP_S
    )
    request.runtime_env_info.serialized_runtime_env = "{}"
    with init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") as channel:
        SERVICES.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=START_S)


def _num_idle() -> int:
    return sum(command.startswith(IDLE_TITLE) for command in _commands_of_siblings())


def _commands_of_siblings() -> Iterator[str]:
    """Command lines of the processes that this node's raylet has started."""
    raylet = str(os.getppid())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # the name, in brackets, may hold spaces; the parent's id comes second after it
            parent = process.joinpath("stat").read_text().rpartition(")")[2].split()[1]
            if parent == raylet:
                yield process.joinpath("cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile


def _lock_file() -> Path:
    return Path(RAY._private.worker.global_worker.node.get_session_dir_path(), "omnisift-spares")


__all__ = ["are_wanted", "keep_spares"]
