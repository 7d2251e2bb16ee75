import io

from clients.cli.console import Console


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


def test_progress_replaces_itself_on_a_terminal_until_something_else_is_said() -> None:
    err = Terminal()
    console = Console(io.StringIO(), err)

    console.progress("00:01 live", state="live", now_s=1)
    console.progress("00:02 live", state="live", now_s=1.1)
    console.note("done")
    console.note("really")

    assert err.getvalue() == "\r\x1b[K00:01 live\r\x1b[K00:02 live\ndone\nreally\n"


def test_progress_into_a_file_is_a_line_now_and_then_and_with_every_change() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err, progress_every_s=5)

    for now_s in range(12):
        state = "live" if now_s != 7 else "reconnecting"
        console.progress(f"{now_s} {state}", state=state, now_s=float(now_s))

    assert err.getvalue().splitlines() == ["0 live", "5 live", "7 reconnecting", "8 live"]
