import json
from pathlib import Path

import pytest

from benchmarks.capacity import main
from benchmarks.fleet.costs import Costs


def test_table_says_how_many_replicas_so_many_streams_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = tmp_path / "costs.json"
    Costs(0.2, 0.02, 0.001, 0.015, 40_000, "a machine").save(costs)
    main(["--costs", str(costs), "--streams", "6", "600", "--peak", "12", "--traces", "ramp"])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    few, many = summary["streams"]["6"], summary["streams"]["600"]
    assert many["Ingest"] == 100  # 0.1 of a core each, and no core more than 0.6 busy
    assert many["lag_p99_s"] < 2.0
    assert many["log_mb_per_s"] == 12.0
    assert few["Ingest"] == 2
    assert summary["traces"]["ramp"]["in_time_ratio"] == 1.0
