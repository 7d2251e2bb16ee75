import json

import pytest

from service.manifests.dashboards import DASHBOARDS, Dashboard, Panel, quantiles, to_json


def test_panels_fill_rows_of_three() -> None:
    board = Dashboard("x", "X", tuple(Panel(str(n), {"a": "up"}) for n in range(4)))
    places = [panel["gridPos"] for panel in json.loads(to_json(board))["panels"]]
    assert [(place["x"], place["y"]) for place in places] == [(0, 0), (8, 0), (16, 0), (0, 8)]


def test_quantiles_are_of_all_replicas_together() -> None:
    assert quantiles("m", "stage")["p95 {{stage}}"] == (
        "histogram_quantile(0.95, sum by (le, stage) (rate(m_bucket[1m])))"
    )


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_ids_are_unique(board: Dashboard) -> None:
    model = json.loads(to_json(board))
    assert model["uid"] == f"omnisift-{board.name}"
    assert len({panel["id"] for panel in model["panels"]}) == len(board.panels)


def test_the_overview_shows_the_five_numbers() -> None:
    titles = " ".join(panel.title.lower() for panel in DASHBOARDS["overview"].panels)
    for number in ("tokens saved", "lag", "first token", "context held", "sessions per replica"):
        assert number in titles
