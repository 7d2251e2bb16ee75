"""The command line, with the tiny geometry in place of the embedded model's."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from compressor.omni.geometry import Geometry
from compressor.training import __main__ as command
from compressor.training.snapshot import save_snapshot
from compressor.training.student import Student

LAYER = "model.layers.0.mlp.down_proj.weight"


def run(monkeypatch: pytest.MonkeyPatch, geometry: Geometry, *arguments: str) -> None:
    monkeypatch.setattr(command, "embedded_geometry", lambda _: geometry)
    monkeypatch.setattr("sys.argv", ["compressor.training", *arguments])
    command.main()


@pytest.mark.parametrize("averages", [False, True])
def test_what_is_exported_is_where_training_led_or_half_way(
    averages: bool, monkeypatch: pytest.MonkeyPatch, geometry: Geometry, tmp_path: Path
) -> None:
    start, text = tmp_path / "start.safetensors", tmp_path / "text.safetensors"
    save_snapshot(start, Student(geometry, 5))

    run(
        monkeypatch,
        geometry,
        *("--plan", "sifted", "--steps", "3", "--batch-s", "4", "--cache-batches", "1"),
        *("--start", str(start), "--out", str(tmp_path), "--export-text", str(text)),
        *("--device", "cpu", "--threads", "1"),
        *(["--average"] if averages else []),
    )

    before = load_file(start)[f"thinker.{LAYER}"]
    after = load_file(tmp_path / "snapshot.safetensors")[f"thinker.{LAYER}"]
    expected = (before + after) / 2 if averages else after
    assert not (before == after).all()
    assert_close(load_file(text)[LAYER].float(), expected, atol=1e-6, rtol=1e-3)


def test_half_way_needs_a_start(
    monkeypatch: pytest.MonkeyPatch, geometry: Geometry, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, geometry, "--steps", "1", "--average")

    assert "--average needs --start" in capsys.readouterr().err
