"""Every object of every overlay, against Kubernetes' schemas and against the service itself."""

import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema

from service.app import application
from service.manifests.plan import PLANS, PORT
from service.settings import Settings
from tests.platform import fields
from tests.platform.kustomize import (
    K8S,
    OVERLAYS,
    Object,
    build,
    build_folder,
    named,
    of_kind,
    pod_specs,
    ray_pods,
)

KUBERNETES = ("1.28", "1.33")  # the oldest and a newer one that we support
CUSTOM = {"RayService", "PodMonitor", "ScrapeConfig", "PrometheusRule"}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
@pytest.mark.parametrize("version", KUBERNETES)
def test_objects_fit_the_schemas(overlay: str, version: str) -> None:
    for item in build(overlay):
        if item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, version, strict=True)


@every_overlay
def test_pods_inside_the_ray_service_fit_the_schemas(overlay: str) -> None:
    for name, template in ray_pods(overlay).items():
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] = {"name": name, **template["metadata"]}
        kubernetes_validate.validate(pod, KUBERNETES[-1], strict=True)


def test_a_typing_error_is_noticed() -> None:
    template = ray_pods("dev")["head"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {**template["spec"]},
    }
    pod["spec"]["terminationGracePeriod"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES[-1], strict=True)


@every_overlay
def test_ray_service_has_known_fields_only(overlay: str) -> None:
    (service,) = of_kind(overlay, "RayService")
    cluster = service["spec"]["rayClusterConfig"]
    assert fields.unknown(service["spec"], fields.RAY_SERVICE) == set()
    assert fields.unknown(cluster, fields.RAY_CLUSTER) == set()
    for group in cluster["workerGroupSpecs"]:
        assert fields.unknown(group, fields.WORKER_GROUP) == set()


def test_monitoring_has_known_fields_only() -> None:
    for kind, known in fields.MONITORING.items():
        for item in of_kind("prod", kind):
            assert fields.unknown(item["spec"], known) == set()


def test_unknown_fields_are_found() -> None:
    assert fields.unknown({"a": 1, "b": {"c": 1, "d": 2}}, {"a": "", "b.c": ""}) == {"b.d"}


@every_overlay
def test_serve_config_is_rays_own(overlay: str) -> None:
    (service,) = of_kind(overlay, "RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    schema = ServeDeploySchema.model_validate(config)
    # the schema ignores what it does not know
    assert set(config) <= set(ServeDeploySchema.model_fields)
    for entry in config["applications"]:
        assert set(entry) <= set(ServeApplicationSchema.model_fields)
        for deployment in entry.get("deployments", ()):
            assert set(deployment) <= set(DeploymentSchema.model_fields)
    assert schema.applications[0].import_path == f"{application.__module__}:{application.__name__}"


@every_overlay
def test_application_is_built_from_the_pods_environment(
    overlay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(overlay).items():
        monkeypatch.setenv(name, value)
    app = application({})
    handles = app._bound_deployment.init_kwargs
    planned = PLANS[overlay].settings
    llm = handles["LLM"]._bound_deployment
    assert llm.ray_actor_options["resources"] == {planned.llm.node_group: 0.001}
    scaling = llm._deployment_config.autoscaling_config
    assert (scaling and scaling.max_replicas) == planned.llm.max_replicas
    assert (
        handles["Ingest"]._bound_deployment.ray_actor_options["num_cpus"] == planned.ingest.num_cpus
    )


def test_application_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNISIFT_REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="OMNISIFT_REDIS_URL is required"):
        application({})
    with pytest.raises(ValueError, match="environment variables, not arguments"):
        application({"port": "1"})


@every_overlay
def test_every_variable_is_a_setting(overlay: str) -> None:
    names = {
        name
        for spec in pod_specs(overlay)
        for container in spec["containers"]
        for name in (entry["name"] for entry in container.get("env", ()))
        if name.startswith("OMNISIFT_")
    }
    assert names <= set(variables_of(Settings, "OMNISIFT_"))
    assert "OMNISIFT_REDIS_URL" in names


@every_overlay
def test_secrets_that_pods_need_are_named_once(overlay: str) -> None:
    keys = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for spec in pod_specs(overlay)
        for container in spec["containers"]
        for entry in container.get("env", ())
        if "valueFrom" in entry
    }
    assert keys == {"redis-password", "api-keys", "token-secret", "turn-secret"}
    if overlay == "dev":
        (secret,) = of_kind("dev", "Secret")
        assert secret["metadata"]["name"] == "omnisift-secrets"
        assert keys <= set(secret["data"])
    else:
        assert of_kind(overlay, "Secret") == []  # made by whoever runs it


@every_overlay
def test_images_are_pinned(overlay: str) -> None:
    for spec in pod_specs(overlay):
        for container in spec["containers"]:
            _, _, tag = container["image"].rpartition(":")
            assert re.match(r"v?\d", tag), container["image"]


@every_overlay
def test_pods_run_without_privileges(overlay: str) -> None:
    for spec in pod_specs(overlay):
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}


@every_overlay
def test_services_reach_ports_that_pods_have(overlay: str) -> None:
    pods = [
        (template["metadata"]["labels"], template["spec"])
        for template in ray_pods(overlay).values()
    ] + [
        (item["spec"]["template"]["metadata"]["labels"], item["spec"]["template"]["spec"])
        for kind in ("Deployment", "StatefulSet")
        for item in of_kind(overlay, kind)
    ]
    for service in of_kind(overlay, "Service"):
        selected = [spec for labels, spec in pods if matches(service["spec"]["selector"], labels)]
        assert selected, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in port_names(selected)


@every_overlay
def test_only_rays_own_pods_reach_rays_ports(overlay: str) -> None:
    open_ports = set()
    for policy in of_kind(overlay, "NetworkPolicy"):
        if policy["spec"]["podSelector"].get("matchLabels", {}).get(NAME_LABEL) != "omnisift":
            continue
        for rule in policy["spec"].get("ingress", ()):
            sources = rule.get("from")
            if sources is None:
                open_ports |= {port["port"] for port in rule["ports"]}
    assert open_ports == {PORT}
    deny = named(overlay, "NetworkPolicy", "deny-ingress")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


@every_overlay
def test_redis_is_reached_by_the_service_only(overlay: str) -> None:
    policy = named(overlay, "NetworkPolicy", "redis-from-service")
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {NAME_LABEL: "omnisift"}}}]


@every_overlay
def test_redis_keeps_what_it_acknowledged(overlay: str) -> None:
    redis = named(overlay, "StatefulSet", "redis")
    (command,) = redis["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--appendonly yes --appendfsync always" in command
    assert "noeviction" in command
    assert redis["spec"]["volumeClaimTemplates"]


def test_an_external_redis_takes_one_component(tmp_path: Path) -> None:
    def path(*parts: str) -> str:
        return os.path.relpath(K8S.joinpath(*parts), tmp_path.resolve())

    mine = {
        "namespace": "omnisift",
        "resources": [path("overlays", "prod")],
        "components": [path("components", "external-redis")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(mine))
    built = build_folder(tmp_path)
    redis = [item for item in built if item["metadata"]["name"] == "redis"]
    (service,) = (item for item in redis if item["kind"] == "Service")
    assert service["spec"] == {"type": "ExternalName", "externalName": "redis.example.com"}
    kubernetes_validate.validate(service, KUBERNETES[-1], strict=True)
    assert not [item for item in built if item["kind"] == "StatefulSet"]


def test_nodes_are_drained_one_pod_of_a_group_at_a_time() -> None:
    workers = {name: pod for name, pod in ray_pods("prod").items() if name != "head"}
    for name, template in workers.items():
        budget = named("prod", "PodDisruptionBudget", name)["spec"]
        assert budget["maxUnavailable"] == 1
        assert matches(budget["selector"]["matchLabels"], template["metadata"]["labels"])


def test_monitors_find_pods_and_their_ports() -> None:
    pods = [template for template in ray_pods("prod").values()]
    pods += [item["spec"]["template"] for item in of_kind("prod", "StatefulSet")]
    for monitor in of_kind("prod", "PodMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        found = [pod["spec"] for pod in pods if matches(selector, pod["metadata"]["labels"])]
        assert found, monitor["metadata"]["name"]
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            assert all(endpoint["port"] in port_names([spec]) for spec in found)


def test_tls_comes_from_cert_manager_and_leads_to_the_api() -> None:
    ingress = named("prod", "Ingress", "omnisift")
    assert "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]
    (tls,), (rule,) = ingress["spec"]["tls"], ingress["spec"]["rules"]
    assert tls["hosts"] == [rule["host"]]
    assert tls["secretName"]
    (path,) = rule["http"]["paths"]
    to = path["backend"]["service"]
    service = named("prod", "Service", to["name"])
    assert to["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


@every_overlay
def test_pods_have_ten_minutes_to_start(overlay: str) -> None:
    for template in ray_pods(overlay).values():
        (container,) = template["spec"]["containers"]
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


@every_overlay
def test_pods_leave_the_service_when_a_part_is_away_and_not_when_it_is_full(overlay: str) -> None:
    """What is full refuses new sessions by itself and serves those that it has (docs/adr/0020)."""
    (container,) = ray_pods(overlay)["media"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": PORT}
    assert "httpGet" not in container["livenessProbe"]  # a part that is away kills no pod


@every_overlay
def test_pods_have_time_to_drain(overlay: str) -> None:
    settings = PLANS[overlay].settings
    for name, template in ray_pods(overlay).items():
        if name != "head":
            assert template["spec"]["terminationGracePeriodSeconds"] > settings.ingest.drain_s


NAME_LABEL = "app.kubernetes.io/name"


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def port_names(specs: list[Object]) -> set[str]:
    return {
        port["name"]
        for spec in specs
        for container in spec["containers"]
        for port in container.get("ports", ())
    }


def environment(overlay: str) -> dict[str, str]:
    """Of a worker pod, its secrets made up."""
    template = ray_pods(overlay)["media"]
    entries = template["spec"]["containers"][0]["env"]
    values: dict[str, Any] = {"OMNISIFT_AUTH__KEYS": json.dumps({"keys": []})}
    for entry in entries:
        made_up = values.get(entry["name"], f"secret of {entry['name']} and some more letters")
        values[entry["name"]] = entry.get("value", made_up)
    return {name: value.replace("$(REDIS_PASSWORD)", "pw") for name, value in values.items()}


def variables_of(model: Any, prefix: str) -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = [
            a for a in (field.annotation, *get_args(field.annotation)) if hasattr(a, "model_fields")
        ]
        variable = f"{prefix}{name.upper()}"
        found += variables_of(inner[0], f"{variable}__") if inner else [variable]
    return found
