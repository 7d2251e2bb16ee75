"""Dashboards and alerts ask for metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from service.metrics import Metrics
from tests.platform.kustomize import ROOT
from tests.platform.promtool import promtool

MONITORING = ROOT / "k8s/components/monitoring"
ALERTS = yaml.safe_load((ROOT / "observability/alerts.yml").read_text())
BOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
# of redis_exporter, https://github.com/oliver006/redis_exporter
REDIS = {
    "redis_up",
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_commands_processed_total",
    "redis_connected_clients",
    "redis_aof_last_write_status",
    "redis_net_input_bytes_total",
}
ADDED = {"deployment", "replica", "le"}  # by the merge of all replicas, and by histograms


def series() -> dict[str, set[str]]:
    """Labels by name of every series that a scrape can hold."""
    found = {name: set[str]() for name in REDIS}
    for collector, names in Metrics().registry._collector_to_names.items():
        labels = ADDED | set(getattr(collector, "_labelnames", ()))
        found |= {name: labels for name in names}
    return found


SERIES = series()


def check(query: str) -> None:
    names = set(re.findall(r"\b(?:omnisift|redis)_[a-z_0-9]+", query))
    assert names, query
    assert names <= set(SERIES), f"{names - set(SERIES)} in {query}"
    labels = set[str]().union(*(SERIES[name] for name in names))
    used = set(re.findall(r"(\w+)\s*=~?\"", query))
    for group in re.findall(r"by \(([^)]*)\)", query):
        used |= {label.strip() for label in group.split(",")}
    assert used <= labels, f"{used - labels} in {query}"


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_dashboard_asks_for_metrics_that_there_are(path: Path) -> None:
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            check(target["expr"])


@pytest.mark.parametrize("rule", ALERTS["groups"][0]["rules"], ids=lambda rule: rule["alert"])
def test_alert_asks_for_metrics_that_there_are_and_has_a_runbook(rule: dict[str, str]) -> None:
    check(rule["expr"])
    assert f"### {rule['alert']}" in (ROOT / "docs/operations.md").read_text()


def test_a_wrong_name_or_label_is_noticed() -> None:
    with pytest.raises(AssertionError, match="omnisift_nothing"):
        check("rate(omnisift_nothing[1m])")
    with pytest.raises(AssertionError, match="colour"):
        check('omnisift_kv_pages{colour="red"}')


def test_promtool_accepts_alerts_and_their_tests() -> None:
    promtool("check", "rules", "alerts.yml", cwd=ROOT / "observability")
    promtool("test", "rules", "alerts_test.yml", cwd=ROOT / "observability")


def test_every_alert_is_tested_both_ways() -> None:
    tests = yaml.safe_load((ROOT / "observability/alerts_test.yml").read_text())["tests"]
    names = {rule["alert"] for rule in ALERTS["groups"][0]["rules"]}
    for test in tests:
        assert {case["alertname"] for case in test["alert_rule_test"]} == names
