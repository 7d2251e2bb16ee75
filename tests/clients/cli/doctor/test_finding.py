import io

from clients.cli.console import Console
from clients.cli.doctor.finding import Finding, is_healthy, show, show_json

OK = Finding("ok", "service", "it answers")
WARN = Finding("warn", "camera", "there is none", "connect one")
FAIL = Finding("fail", "key", "unknown", "ask for another")


def test_each_is_a_line_and_what_to_do_another() -> None:
    out = io.StringIO()
    console = Console(out, io.StringIO())

    for finding in (OK, WARN):
        show(console, finding)

    assert out.getvalue().splitlines() == [
        "ok    service      it answers",
        "warn  camera       there is none",
        "                   -> connect one",
    ]


def test_only_a_failure_is_unhealthy() -> None:
    assert is_healthy([OK, WARN])
    assert not is_healthy([OK, FAIL])


def test_json_says_all() -> None:
    out = io.StringIO()

    show_json(Console(out, io.StringIO()), [FAIL])

    assert '"is_healthy": false' in out.getvalue()
    assert '"advice": "ask for another"' in out.getvalue()
