"""Every file that is made from code: where it is, and what is in it."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from service.manifests import dashboards, ray_service
from service.manifests.metrics_page import with_table
from service.manifests.plan import PLANS

METRICS = Path("docs/metrics.md")
ALERTS = Path("observability/alerts.yml")
MONITORING = Path("k8s/components/monitoring")


def files(root: Path) -> Mapping[Path, str]:
    """Texts by path under `root`, the repository; reads the parts that are written by hand."""
    made = {Path(*ray_service.paths(plan)): ray_service.to_yaml(plan) for plan in PLANS.values()}
    made[MONITORING / "prometheusrule.yaml"] = _prometheus_rule(root)
    made[METRICS] = with_table((root / METRICS).read_text(encoding="utf-8"))
    for name, board in dashboards.DASHBOARDS.items():
        made[MONITORING / "dashboards" / f"{name}.json"] = dashboards.to_json(board)
    return made


def write(root: Path) -> list[Path]:
    """Write them; returns those that changed."""
    changed = []
    for path, text in files(root).items():
        target = root / path
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        changed.append(path)
    return changed


def _prometheus_rule(root: Path) -> str:
    rules = yaml.safe_load((root / ALERTS).read_text(encoding="utf-8"))
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "omnisift", "labels": {"app.kubernetes.io/part-of": "omnisift"}},
        "spec": rules,
    }
    head = f"# Made by `python -m service.manifests` from {ALERTS.as_posix()}: change that.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, width=110)


__all__ = ["files", "write"]
