"""Overlays as kustomize builds them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("dev", "prod")

Object = dict[str, Any]


@cache
def build(overlay: str) -> tuple[Object, ...]:
    """All objects of an overlay."""
    return build_folder(K8S / "overlays" / overlay)


def build_folder(folder: Path) -> tuple[Object, ...]:
    """All objects of the kustomization in a folder."""
    kubectl = shutil.which("kubectl")
    assert kubectl is not None, "kubectl is not installed: make system"
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> list[Object]:
    return [item for item in build(overlay) if item["kind"] == kind]


def named(overlay: str, kind: str, name: str) -> Object:
    (found,) = (item for item in of_kind(overlay, kind) if item["metadata"]["name"] == name)
    return found


def ray_pods(overlay: str) -> dict[str, Object]:
    """Pod templates inside the RayService, by group."""
    (service,) = of_kind(overlay, "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **groups}


def pod_specs(overlay: str) -> list[Object]:
    """Specs of all pods of an overlay, whatever makes them."""
    kinds = ("Deployment", "StatefulSet")
    made = [item["spec"]["template"]["spec"] for kind in kinds for item in of_kind(overlay, kind)]
    return [*made, *(template["spec"] for template in ray_pods(overlay).values())]
