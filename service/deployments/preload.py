"""Imported by every process of Ray as it starts: loads in a spare what a replica will need.

Ray is told to by `RAY_preload_python_modules` (see `service.settings.export_ray_environment`). A
process that starts before spares are kept is one that has work already, and loads what that needs.
It loads at the replicas' own priority: nicer by 5, it took over a minute beside busy ones.
"""

import importlib

from service.deployments.spares import are_wanted

MODULES = (
    "service.deployments.compressor",
    "service.deployments.encoder",
    "service.deployments.ingest",
    "service.deployments.llm",
)

if are_wanted():
    for module in MODULES:
        importlib.import_module(module)
