"""Imported by every process of Ray as it starts: loads in a spare what a replica will need.

Ray is told to by `RAY_preload_python_modules` (see `service.settings.export_ray_environment`). A
process that starts before spares are kept is one that has work already, and loads what that needs.
"""

import importlib
import os
import threading

from service.deployments.spares import are_wanted

MODULES = (
    "service.deployments.compressor",
    "service.deployments.encoder",
    "service.deployments.ingest",
    "service.deployments.llm",
)
NICE = 5  # behind replicas that rebuild sessions; more, and a spare that is needed soon is late


def load() -> None:
    """Import the modules, behind what else the machine does.

    On a thread of its own, since on Linux it is threads that are nice, and no process may take it
    back without privileges.
    """
    thread = threading.Thread(target=_load, name="preload")
    thread.start()
    thread.join()


def _load() -> None:
    thread_id = threading.get_native_id()
    own = os.getpriority(os.PRIO_PROCESS, thread_id)
    os.setpriority(os.PRIO_PROCESS, thread_id, own + NICE)
    for module in MODULES:
        importlib.import_module(module)


if are_wanted():
    load()
