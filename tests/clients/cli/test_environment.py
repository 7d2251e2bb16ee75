import pytest

from clients.cli.environment import read_environment


def test_variables_become_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_URL", "http://h:1")
    monkeypatch.setenv("OMNISIFT_API_KEY", "k")

    environment = read_environment()
    assert (environment.url, environment.api_key) == ("http://h:1", "k")


@pytest.mark.parametrize("value", [None, ""])
def test_absent_and_empty_variables_are_the_same(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in ("OMNISIFT_URL", "OMNISIFT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    environment = read_environment()
    assert (environment.url, environment.api_key) == ("http://127.0.0.1:8000", None)


@pytest.mark.parametrize(
    ("name", "value", "is_plain"),
    [("NO_COLOR", "1", True), ("NO_COLOR", "", False), ("TERM", "dumb", True)],
)
def test_terminals_may_be_plain(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_plain: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, value)

    assert read_environment().is_plain is is_plain
