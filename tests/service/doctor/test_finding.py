from service.doctor.finding import Finding, is_healthy

OK = Finding("ok", "Redis", "version 7.0 answers")
WARN = Finding("warn", "keys", "none", "make some")
FAIL = Finding("fail", "model", "absent", "name one")


def test_advice_has_a_line_of_its_own() -> None:
    assert OK.as_text() == "ok    Redis        version 7.0 answers"
    assert WARN.as_text().splitlines() == [
        "warn  keys         none",
        "                   -> make some",
    ]


def test_only_a_failure_is_unhealthy() -> None:
    assert is_healthy([OK, WARN])
    assert not is_healthy([OK, WARN, FAIL])
