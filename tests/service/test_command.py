"""`python -m service`, as far as it needs no cluster."""

import json
import re
from pathlib import Path

import pytest

from service.__main__ import main
from service.access.keyring import Keyring
from service.settings import AuthSettings


def test_keygen_prints_a_key_once_and_an_entry_that_finds_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["keygen", "--id", "alice", "--scopes", "publish,ask"]) == 0

    printed = capsys.readouterr().out
    [key] = re.findall(r"osk_[\w-]{43}", printed)
    entry = printed.strip().splitlines()[-1]
    path = tmp_path / "keys.json"
    path.write_text(f'{{"keys": [{entry}]}}')
    found = AuthSettings(keys_file=path).keyring().find(key)
    assert found is not None
    assert (found.id, sorted(found.scopes)) == ("alice", ["ask", "publish"])
    assert key not in entry


def test_keygen_refuses_unknown_scopes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--scopes", "everything"]) == 2
    assert "publish, ask" in capsys.readouterr().err


def test_damaged_keys_are_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNISIFT_AUTH__KEYS", json.dumps({"keys": [{"id": "a"}]}))

    assert main(["serve"]) == 1
    assert "entry 0" in capsys.readouterr().err


def test_check_config_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNISIFT_AUTH__TOKEN_SECRET", "topsecret" * 4)
    monkeypatch.setenv("OMNISIFT_AUTH__KEYS", Keyring().dump())

    assert main(["check-config"]) == 0
    printed = capsys.readouterr().out
    assert "topsecret" not in printed
    assert '"keys": "**********"' in printed
