"""docker-compose.yml against the compose schema and against everything it refers to."""

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.egress import AllowList, check_url
from service.errors import UrlRefused
from service.manifests.plan import PLANS, PORT
from service.settings import Settings
from tests.platform.kustomize import ROOT, pod_specs
from tests.platform.test_kubernetes import variables_of

COMPOSE = ROOT / "docker-compose.yml"
CONFIG: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, Any] = CONFIG["services"]
HOW_TO = (ROOT / "docs/howto/sources.md").read_text()
OURS = ("service", "service-gpu")


def test_file_fits_the_compose_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema"]
    done = subprocess.run(
        [*command, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_images_are_pinned_and_those_of_kubernetes() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    for image in images.values():
        assert re.search(r":v?\d[\w.-]*$", image), image
    k8s = {
        c["image"]
        for overlay in ("dev", "prod")
        for s in pod_specs(overlay)
        for c in s["containers"]
    }
    assert images["service"] == PLANS["dev"].image
    assert images["service-gpu"] == PLANS["prod"].image
    for name in ("redis", "redis-exporter", "coturn"):
        assert images[name] in k8s


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings(name: str) -> None:
    ours = {v for v in SERVICES[name]["environment"] if v.startswith("OMNISIFT_")}
    assert ours <= set(variables_of(Settings, "OMNISIFT_"))


@pytest.mark.parametrize("name", OURS)
def test_the_service_is_offered_to_this_machine_only(name: str) -> None:
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]


@pytest.mark.parametrize("name", [*OURS, "mediamtx"])
def test_containers_write_nothing_and_may_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_images_are_built_by_arguments_that_the_dockerfile_has() -> None:
    known = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.M))
    assert set(SERVICES["service-gpu"]["build"]["args"]) == {"TORCH_INDEX"} <= known


def test_each_profile_runs_one_service() -> None:
    assert SERVICES["service"]["profiles"] == ["cpu"]
    assert SERVICES["service-gpu"]["profiles"] == ["gpu"]


def test_mediamtx_is_opt_in_and_asks_for_a_password() -> None:
    mediamtx = SERVICES["mediamtx"]
    assert mediamtx["profiles"] == ["mediamtx"]
    assert mediamtx["environment"]["MTX_AUTHINTERNALUSERS_0_PASS"] == "${MEDIA_PASSWORD:?}"
    assert mediamtx["ports"] == ["8554:8554/tcp", "1935:1935/tcp", "8890:8890/udp"]


@pytest.mark.parametrize("name", OURS)
def test_the_service_fetches_from_mediamtx_and_from_nowhere_else(name: str) -> None:
    variable = SERVICES[name]["environment"]["OMNISIFT_SOURCES__HOSTS"]
    (hosts,) = re.findall(r"^\$\{SOURCES_HOSTS:-(.*)\}$", variable)
    allowed = AllowList.parse(json.loads(hosts))
    ((network, placed),) = SERVICES["mediamtx"]["networks"].items()
    (subnet,) = (config["subnet"] for config in CONFIG["networks"][network]["ipam"]["config"])
    assert ip_address(placed["ipv4_address"]) in ip_network(subnet)
    assert network in SERVICES[name]["networks"]

    def fetched(url: str, address: str) -> bool:
        try:
            check_url(url, allowed, lambda *_: [address], schemes=["rtsp"], allows_credentials=True)
        except UrlRefused:
            return False
        return True

    (url,) = re.findall(r"sources add SESSION \"(rtsp:\S+)\"", HOW_TO)
    assert fetched(url, placed["ipv4_address"])
    for other in ip_network(subnet):
        assert fetched(url, str(other)) is (str(other) == placed["ipv4_address"])
    assert not fetched(url.replace(":8554", ":6379"), placed["ipv4_address"])


def test_the_how_to_pushes_to_ports_and_a_user_that_mediamtx_has() -> None:
    ports = {port.split(":")[0] for port in SERVICES["mediamtx"]["ports"]}
    assert set(re.findall(r"(?:srt|rtmp|rtsp)://\S*127\.0\.0\.1:(\d+)", HOW_TO)) == ports
    user = SERVICES["mediamtx"]["environment"]["MTX_AUTHINTERNALUSERS_0_USER"]
    users = re.findall(r"rtsp://(\w+):\$|user=(\w+)&|publish:desk:(\w+):", HOW_TO)
    assert {name for found in users for name in found if name} == {user}


def test_the_service_has_longer_than_its_publishers_drain() -> None:
    grace_s = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_fields["ingest"].default.drain_s


def test_redis_is_on_disk_behind_a_password_and_on_no_port() -> None:
    redis = SERVICES["redis"]
    command = redis["command"][-1]
    assert "--appendonly yes --appendfsync always" in command
    assert "--requirepass" in command
    assert "ports" not in redis
    assert redis["networks"] == ["inside"]
    assert CONFIG["networks"]["inside"]["internal"] is True


def test_grafana_lets_nobody_in_unnamed() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:?}"


def test_files_that_are_mounted_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = str(volume).split(":", 1)[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in CONFIG["volumes"]


def test_every_variable_is_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text()))
    example = (ROOT / "observability/compose.env.example").read_text()
    assert wanted <= set(re.findall(r"^([A-Z_]+)=", example, re.M))


def test_prometheus_asks_for_services_that_there_are() -> None:
    config = yaml.safe_load((ROOT / "observability/prometheus.yml").read_text())
    targets = [
        target
        for job in config["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    assert {target.split(":")[0] for target in targets} <= set(SERVICES)
    assert Path(config["rule_files"][0]).name == "alerts.yml"
