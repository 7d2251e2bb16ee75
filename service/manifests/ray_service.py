"""A `RayService` (KubeRay, ray.io/v1) from a plan. Pure: values in, plain dicts out.

Fields: https://docs.ray.io/en/latest/cluster/kubernetes/ and KubeRay's API reference
(https://ray-project.github.io/kuberay/reference/api/).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from service.manifests.environment import variables
from service.manifests.plan import PORT, NodeGroup, Plan, Resources
from service.settings import RAY_ENVIRONMENT

NAME = "omnisift"
RAY_VERSION = "2.60.0"
SECRET = "omnisift-secrets"
# databases of one Redis: Ray's own state, and the sessions
SESSIONS_DATABASE = 1
USER_ID = 10001
METRICS_PORT, GCS_PORT, DASHBOARD_PORT, CLIENT_PORT = 8080, 6379, 8265, 10001
RAYLET_HEALTH = (
    "wget -q -T 2 -O - http://127.0.0.1:52365/api/local_raylet_healthz | grep -q success"
)
GCS_HEALTH = "wget -q -T 2 -O - http://127.0.0.1:8265/api/gcs_healthz | grep -q success"


def ray_service(plan: Plan) -> dict[str, Any]:
    """The whole object."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME, "labels": _labels("service")},
        "spec": {
            # the old cluster serves its publishers while they move
            "rayClusterDeletionDelaySeconds": plan.grace_s,
            "excludeHeadPodFromServeSvc": True,
            "upgradeStrategy": {"type": "NewCluster"},
            "serveConfigV2": yaml.safe_dump(serve_config(plan), sort_keys=False),
            "rayClusterConfig": _cluster(plan),
        },
    }


def serve_config(plan: Plan) -> dict[str, Any]:
    """Ray Serve's own config: where the application is; all the rest is settings."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": plan.settings.host, "port": plan.settings.port},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "applications": [
            {
                "name": NAME,
                "import_path": "service.app:application",
                "route_prefix": "/",
                "args": {},
            }
        ],
    }


def to_yaml(plan: Plan) -> str:
    """The object as a file."""
    head = "# Made by `python -m service.manifests`: change service/manifests, not this.\n"
    return head + yaml.dump(ray_service(plan), Dumper=_Dumper, sort_keys=False, width=110)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and repeats what is repeated."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _cluster(plan: Plan) -> dict[str, Any]:
    return {
        "rayVersion": RAY_VERSION,
        # the operator makes a token; whoever has none is turned away from Ray's ports
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "idleTimeoutSeconds": 300,
            "upscalingMode": "Default",
            "resources": _quantities(Resources(cpu="500m", memory="1Gi")),
            "securityContext": _container_security(),
        },
        # a head that restarts finds its cluster again, and replicas serve on meanwhile
        "gcsFaultToleranceOptions": {
            "redisAddress": "redis:6379",
            "redisPassword": {"valueFrom": _secret("redis-password")},
        },
        "headGroupSpec": {
            # no replicas on the head: its memory is the cluster's
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": _pod(plan, "head", plan.head),
        },
        "workerGroupSpecs": [_group(plan, group) for group in plan.groups],
    }


def _group(plan: Plan, group: NodeGroup) -> dict[str, Any]:
    return {
        "groupName": group.name,
        "replicas": group.min_nodes,
        "minReplicas": group.min_nodes,
        "maxReplicas": group.max_nodes,
        # quoted twice: a shell reads it
        "rayStartParams": {"resources": json.dumps(json.dumps({group.name: 1}))},
        "template": _pod(plan, group.name, group.resources, group),
    }


def _pod(
    plan: Plan, component: str, resources: Resources, group: NodeGroup | None = None
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": component == "head",  # for the autoscaler
        "terminationGracePeriodSeconds": plan.grace_s if group is not None else 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, component, resources, group)],
        "volumes": _volumes(plan),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(component)},
            }
        ],
    }
    if group is not None and group.uses_host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
        spec["affinity"] = _alone_on_its_node(component)
    if resources.gpus:
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    return {"metadata": {"labels": _labels(component)}, "spec": spec}


def _container(
    plan: Plan, component: str, resources: Resources, group: NodeGroup | None
) -> dict[str, Any]:
    is_head = group is None
    ports = {"metrics": METRICS_PORT, "serve": PORT}
    if is_head:
        ports |= {"gcs": GCS_PORT, "dashboard": DASHBOARD_PORT, "client": CLIENT_PORT}
    return {
        "name": f"ray-{'head' if is_head else 'worker'}",
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "env": _environment(plan),
        "resources": _quantities(resources),
        "securityContext": _container_security(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
            *([{"name": "models", "mountPath": "/models"}] if plan.models_claim else []),
        ],
        **_probes(component),
    }


def _probes(component: str) -> dict[str, Any]:
    """Startup leaves ten minutes: weights load in replicas, but a fresh node pulls the image's."""
    health = RAYLET_HEALTH if component != "head" else f"{RAYLET_HEALTH} && {GCS_HEALTH}"
    alive = {"exec": {"command": ["bash", "-c", health]}, "timeoutSeconds": 5}
    # what takes requests is ready when every part is, and not while it drains; a full service stays
    # ready for the sessions that it has (docs/adr/0020)
    ready = (
        {"httpGet": {"path": "/readyz", "port": PORT}, "timeoutSeconds": 5}
        if component == "media"
        else alive
    )
    return {
        "startupProbe": {**alive, "periodSeconds": 5, "failureThreshold": 120},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 5, "failureThreshold": 2},
    }


def _environment(plan: Plan) -> list[dict[str, Any]]:
    secrets = {
        "REDIS_PASSWORD": "redis-password",
        "OMNISIFT_AUTH__KEYS": "api-keys",
        "OMNISIFT_AUTH__TOKEN_SECRET": "token-secret",
        "OMNISIFT_API__TURN_SECRET": "turn-secret",
    }
    plain = variables(plan.settings) | RAY_ENVIRONMENT | {"HOME": "/tmp"}
    if plan.models_claim is not None:
        plain["HF_HOME"] = "/models"
    # kubelet puts the variable before it into the URL
    plain["OMNISIFT_REDIS_URL"] = f"redis://:$(REDIS_PASSWORD)@redis:6379/{SESSIONS_DATABASE}"
    return [
        *({"name": name, "valueFrom": _secret(key)} for name, key in secrets.items()),
        *({"name": name, "value": value} for name, value in plain.items()),
    ]


def _volumes(plan: Plan) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    if plan.models_claim is not None:
        claim = {"claimName": plan.models_claim}
        volumes.append({"name": "models", "persistentVolumeClaim": claim})
    return volumes


def _quantities(resources: Resources) -> dict[str, Any]:
    wanted = {"cpu": resources.cpu, "memory": resources.memory}
    if resources.gpus:
        wanted["nvidia.com/gpu"] = str(resources.gpus)
    return {"requests": wanted, "limits": wanted}


def _container_security() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _alone_on_its_node(component: str) -> dict[str, Any]:
    # two Ray nodes would want the same ports
    term = {
        "labelSelector": {"matchLabels": _selector(component)},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _secret(key: str) -> Mapping[str, Any]:
    return {"secretKeyRef": {"name": SECRET, "key": key}}


def _labels(component: str) -> dict[str, str]:
    return {**_selector(component), "app.kubernetes.io/part-of": NAME}


def _selector(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": component}


def paths(plan: Plan) -> Sequence[str]:
    """Where the file of a plan is, from the repository's root."""
    return ("k8s", "overlays", plan.name, "rayservice.yaml")


__all__ = ["NAME", "SECRET", "paths", "ray_service", "serve_config", "to_yaml"]
