"""Where output goes: results to stdout, all else to stderr, so that results can be piped."""

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from clients.cli.table import Table

if TYPE_CHECKING:
    from rich.status import Status


class Console:
    """Writes lines, tables, JSON, and one line of progress that replaces itself on a terminal.

    Args:
        out: For results.
        err: For everything else.
        is_plain: No colours and no redrawing, even on a terminal.
        progress_every_s: Where `err` is no terminal: seconds between two lines of progress.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        is_plain: bool = False,
        progress_every_s: float = 5.0,
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._progress_every_s = progress_every_s
        self._is_plain = is_plain
        self._status: Status | None = None
        self._has_open_result = False
        self._shown_s: float | None = None
        self._shown_state = ""

    def result(self, text: str = "", *, end: str = "\n") -> None:
        self._finish_progress()
        self._has_open_result = not (text + end).endswith("\n")
        print(text, end=end, file=self._out, flush=True)

    def json(self, value: Any) -> None:
        self.result(json.dumps(value, ensure_ascii=False))

    def table(self, table: Table) -> None:
        """Show rows under headings."""
        if self._is_plain or not self._out.isatty():
            self.result(table.as_text())
            return
        from rich.console import Console as RichConsole

        self._finish_progress()
        RichConsole(file=self._out).print(table.as_rich())

    def marked(self, mark: str, style: str, text: str) -> None:
        """A result with a word before it, in a colour of rich's on a terminal."""
        if self._is_plain or not self._out.isatty():
            self.result(f"{mark}{text}")
            return
        from rich.console import Console as RichConsole
        from rich.text import Text

        self._finish_progress()
        RichConsole(file=self._out).print(Text.assemble((mark, style), text), soft_wrap=True)

    def note(self, text: str) -> None:
        self._finish_progress()
        if self._has_open_result:
            self.result()
        print(text, file=self._err, flush=True)

    def progress(self, text: str, *, state: str, now_s: float) -> None:
        """Show how things stand; changes of `state` are shown at once.

        Args:
            text: One line.
            state: A word that `text` contains.
            now_s: Time on any clock.
        """
        if self._err.isatty() and not self._is_plain:
            self._show_status(text)
            return
        is_due = self._shown_s is None or now_s - self._shown_s >= self._progress_every_s
        if is_due or state != self._shown_state:
            self._shown_s, self._shown_state = now_s, state
            print(text, file=self._err, flush=True)

    def _show_status(self, text: str) -> None:
        from rich.console import Console as RichConsole
        from rich.markup import escape

        if self._status is None:
            self._status = RichConsole(file=self._err).status("")
            self._status.start()
        self._status.update(escape(text))

    def _finish_progress(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
