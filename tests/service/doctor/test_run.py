import json
from pathlib import Path

import pytest

from service.__main__ import main
from tests.free_port import free_port


def test_every_part_is_checked_and_json_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMNISIFT_PORT", str(free_port()))

    code = main(["doctor", "--json"])

    report = json.loads(capsys.readouterr().out)
    checks = {check["check"] for check in report["checks"]}
    assert (code, report["is_healthy"]) == (0, True)
    assert {"HTTP port", "UDP ports", "codecs", "device", "Ray", "Redis"} <= checks
    assert {"model", "memory", "keys", "ICE"} <= checks


def test_failure_is_told_with_what_to_do_and_by_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("OMNISIFT_MODEL", str(tmp_path))
    monkeypatch.setenv("OMNISIFT_AUTH__KEYS_FILE", str(tmp_path / "absent.json"))

    code = main(["doctor"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [line.split()[1] for line in lines if line.startswith("fail")] == ["model", "keys"]
    assert any("keygen" in line for line in lines)
