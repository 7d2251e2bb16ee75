"""What users rely on is documented: settings, metrics, routes, error codes, event types."""

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

import service.errors
import service.source_errors
from service.events import EventType
from service.metrics import Metrics
from service.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
API = (DOCS / "api.md").read_text()


def variables(model: type[BaseModel], prefix: str) -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            names += variables(field.annotation, f"{prefix}{name.upper()}__")
        else:
            names.append(f"{prefix}{name.upper()}")
    return names


@pytest.mark.parametrize("variable", variables(Settings, "OMNISIFT_"))
def test_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in (DOCS / "settings.md").read_text()


def test_no_setting_is_documented_that_is_gone() -> None:
    documented = re.findall(r"^\| `(OMNISIFT_\w+)`", (DOCS / "settings.md").read_text(), re.M)

    assert set(documented) == set(variables(Settings, "OMNISIFT_"))


def test_every_metric_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `(omnisift_\w+)`", (DOCS / "metrics.md").read_text(), re.M)
    collected = Metrics().registry.collect()
    families = [family for family in collected if not family.name.startswith("process_")]
    names = {f.name + ("_total" if f.type == "counter" else "") for f in families}

    assert set(documented) == names


@pytest.mark.parametrize(
    "code",
    sorted(
        kind.code
        for module in (service.errors, service.source_errors)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, service.errors.ServiceError)
    ),
)
def test_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in API


@pytest.mark.parametrize("event", get_args(EventType))
def test_event_type_is_documented(event: str) -> None:
    assert f"`{event}`" in API


def test_every_page_is_in_the_sites_navigation() -> None:
    navigation = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text())["nav"]
    listed = {page for page in _pages(navigation) if (DOCS / page).exists()}

    # website/hooks.py adds the decisions
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "adr" not in path.parts}
    assert pages == listed


def _pages(item: object) -> list[str]:
    if isinstance(item, str):
        return [item]
    assert isinstance(item, dict | list)
    children = item.values() if isinstance(item, dict) else item
    return [page for child in children for page in _pages(child)]
