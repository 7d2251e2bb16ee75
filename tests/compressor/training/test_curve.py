from pathlib import Path

from compressor.training.curve import draw


def test_a_run_is_drawn_with_its_stages_and_measurements(tmp_path: Path) -> None:
    head = {"stage": "short", "keep": [0.23, 0.5], "rule": "omnisift", "is_live": True}
    records = [
        {"stage": "short", "cached_batches": 50},
        {"stage": "short", "step": 50, "loss": 2.0},
        {**head, "step": 60, "accuracy": {"ALL": 0.5}},
        {"stage": "all", "step": 100, "loss": 1.0},
        {**head, "step": 110, "accuracy": {"ALL": 0.75}},
    ]

    draw(records, tmp_path / "loss.svg")

    drawn = (tmp_path / "loss.svg").read_text()
    assert "<svg" in drawn
    assert "loss, training" in drawn
    assert "right, validation, omnisift live 0.23 / 0.5" in drawn
