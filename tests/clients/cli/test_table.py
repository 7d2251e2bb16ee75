import io

from rich.console import Console

from clients.cli.table import Table

TABLE = Table(("name", ">size"), [("a", "1"), ("longer", "1000"), ("[red]b", "-")])


def test_text_aligns_words_left_and_numbers_right() -> None:
    assert TABLE.as_text().splitlines() == [
        "name    size",
        "a          1",
        "longer  1000",
        "[red]b     -",
    ]


def test_no_rows_leave_the_heading() -> None:
    assert Table(("name", ">size"), []).as_text() == "name  size"


def test_terminal_shows_cells_as_they_are() -> None:
    out = io.StringIO()

    Console(file=out, width=40).print(TABLE.as_rich())

    assert "[red]b" in out.getvalue()
    assert "1000" in out.getvalue()
