from pathlib import Path

import pytest

from benchmarks.fleet.costs import Costs, load_costs, stage_models
from service.settings import LLMSettings, Settings

COSTS = Costs(0.2, 0.02, 0.001, 0.015, 40_000, "a machine")


def test_costs_are_read_as_they_were_saved(tmp_path: Path) -> None:
    COSTS.save(tmp_path / "costs.json")
    assert load_costs(tmp_path / "costs.json") == COSTS


@pytest.mark.parametrize("text", ["", "{}", '{"ingest_s": 1}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no measured costs"):
        load_costs(path)


def test_stages_take_limits_from_the_settings() -> None:
    settings = Settings(llm=LLMSettings(num_pages=1024, context_tokens=1024, reserve_ratio=0.5))
    models = {model.name: model for model in stage_models(COSTS, settings)}
    assert models["LLM"].max_sessions == 28
    assert models["Ingest"].max_sessions == settings.ingest.max_sessions
    assert models["Ingest"].drain_s == settings.ingest.drain_s
    assert not models["Encoder"].is_affine
