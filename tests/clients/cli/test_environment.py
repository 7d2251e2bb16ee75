import pytest

from clients.cli.environment import Environment, read_environment


def test_variables_become_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISIFT_URL", "http://h:1")
    monkeypatch.setenv("OMNISIFT_API_KEY", "k")

    assert read_environment() == Environment("http://h:1", "k")


@pytest.mark.parametrize("value", [None, ""])
def test_absent_and_empty_variables_are_the_same(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    for name in ("OMNISIFT_URL", "OMNISIFT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert read_environment() == Environment("http://127.0.0.1:8000", None)
