import pytest

from service.doctor.access import check_ice, check_keys


@pytest.mark.parametrize(
    ("host", "is_open", "has_secret", "levels"),
    [
        ("127.0.0.1", True, False, ["ok"]),
        ("0.0.0.0", True, False, ["warn"]),
        ("0.0.0.0", False, False, ["ok", "warn"]),
        ("0.0.0.0", False, True, ["ok"]),
    ],
)
def test_openness_is_judged_by_who_can_reach_it(
    host: str, is_open: bool, has_secret: bool, levels: list[str]
) -> None:
    found = check_keys(host, is_open=is_open, has_token_secret=has_secret)

    assert [finding.level for finding in found] == levels


@pytest.mark.parametrize(
    ("host", "told", "has_secret", "level", "words"),
    [
        ("127.0.0.1", [], False, "ok", "loopback"),
        ("0.0.0.0", [], False, "warn", "one network only"),
        ("0.0.0.0", ["turn:h"], True, "ok", "turn:h"),
        ("0.0.0.0", ["turn:h"], False, "warn", "without a secret"),
        ("0.0.0.0", ["stun:h"], True, "warn", "no TURN server"),
        ("0.0.0.0", ["http://h"], False, "fail", "no STUN or TURN URL"),
    ],
)
def test_ice_settings_must_fit_together(
    host: str, told: list[str], has_secret: bool, level: str, words: str
) -> None:
    (found,) = check_ice(host, told, [], has_turn_secret=has_secret)

    assert found.level == level
    assert words in found.message
