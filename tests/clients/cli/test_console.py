import io
import time

import pytest

from clients.cli.console import Console
from clients.cli.table import Table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_results_and_the_rest_go_their_own_ways() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)

    console.json({"text": "caf\u00e9"})
    console.result("a", end="")
    console.result("b", end="")
    console.note("by the way")

    assert out.getvalue() == '{"text": "caf\u00e9"}\nab\n'
    assert err.getvalue() == "by the way\n"


def test_progress_is_redrawn_on_a_terminal_until_something_else_is_said() -> None:
    err = Terminal()
    console = Console(io.StringIO(), err)

    console.progress("00:01 [live]", state="live", now_s=1)
    console.progress("00:02 [live]", state="live", now_s=1.1)
    time.sleep(0.2)
    console.note("done")

    shown = err.getvalue()
    assert "00:02 [live]" in shown
    assert "\x1b[" in shown
    assert shown.endswith("done\n")


def test_plain_terminal_gets_lines_only() -> None:
    out, err = Terminal(), Terminal()
    console = Console(out, err, is_plain=True)

    console.progress("00:01 live", state="live", now_s=1)
    console.table(Table(("a",), [("b",)]))
    console.marked("ok    ", "green", "it is there")

    assert err.getvalue() == "00:01 live\n"
    assert out.getvalue() == "a\nb\nok    it is there\n"


def test_terminal_gets_tables_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    console = Console(out, io.StringIO())

    console.table(Table(("name",), [("[x]",)]))
    console.marked("fail  ", "red", "it is gone")

    assert "\x1b[1mname" in out.getvalue()
    assert "[x]" in out.getvalue()
    assert "\x1b[31mfail  \x1b[0mit is gone" in out.getvalue()


def test_progress_into_a_file_is_a_line_now_and_then_and_with_every_change() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err, progress_every_s=5)

    for now_s in range(12):
        state = "live" if now_s != 7 else "reconnecting"
        console.progress(f"{now_s} {state}", state=state, now_s=float(now_s))

    assert err.getvalue().splitlines() == ["0 live", "5 live", "7 reconnecting", "8 live"]
