"""Dashboards and alerts ask for metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.manifests.plan import IMAGE
from service.metrics import Metrics
from tests.platform.kustomize import ROOT
from tests.platform.promtool import promtool

MONITORING = ROOT / "k8s/components/monitoring"
RULES = yaml.safe_load((ROOT / "observability/alerts.yml").read_text())["groups"][0]["rules"]
RUNBOOK = "docs/operations.md"
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


def sections(level: int) -> list[str]:
    """The runbook's, from their titles on."""
    return re.split(rf"^{'#' * level} ", (ROOT / RUNBOOK).read_text(), flags=re.M)[1:]


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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_asks_for_metrics_that_there_are(rule: dict[str, Any]) -> None:
    check(rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_links_to_its_meaning_and_first_action(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == f"https://github.com/{IMAGE.removeprefix('ghcr.io/')}/blob/main/{RUNBOOK}"
    (section,) = (text for text in sections(3) if text.partition("\n")[0].lower() == anchor)
    assert anchor == rule["alert"].lower()
    assert "**Means:**" in section
    assert "**First:**" in section


def test_no_alert_is_explained_that_is_gone() -> None:
    (alerts,) = (text for text in sections(2) if text.startswith("Alerts\n"))
    assert re.findall(r"^### (\w+)$", alerts, re.M) == [rule["alert"] for rule in RULES]


def test_every_metric_of_ours_is_asked_for() -> None:
    """By a dashboard or an alert: what nobody looks at need not be measured."""
    asked = "".join(path.read_text() for path in (*BOARDS, ROOT / "observability/alerts.yml"))
    names = {item._name for item in Metrics().collectors}
    assert {name for name in names if name not in asked} == set()


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
    names = {rule["alert"] for rule in RULES}
    for test in tests:
        assert {case["alertname"] for case in test["alert_rule_test"]} == names
