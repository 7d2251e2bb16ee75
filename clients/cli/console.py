"""Where output goes: results to stdout, all else to stderr, so that results can be piped."""

import json
import sys
from typing import Any, TextIO

_CLEAR_LINE = "\r\x1b[K"


class Console:
    """Writes lines, JSON, and one line of progress that replaces itself on a terminal.

    Args:
        out: For results.
        err: For everything else.
        progress_every_s: Where `err` is no terminal: seconds between two lines of progress.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        progress_every_s: float = 5.0,
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._progress_every_s = progress_every_s
        self._has_open_progress = False
        self._has_open_result = False
        self._shown_s: float | None = None
        self._shown_state = ""

    def result(self, text: str = "", *, end: str = "\n") -> None:
        self._finish_progress()
        self._has_open_result = not (text + end).endswith("\n")
        print(text, end=end, file=self._out, flush=True)

    def json(self, value: Any) -> None:
        self.result(json.dumps(value, ensure_ascii=False))

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
        if self._err.isatty():
            self._has_open_progress = True
            print(_CLEAR_LINE + text, end="", file=self._err, flush=True)
            return
        is_due = self._shown_s is None or now_s - self._shown_s >= self._progress_every_s
        if is_due or state != self._shown_state:
            self._shown_s, self._shown_state = now_s, state
            print(text, file=self._err, flush=True)

    def _finish_progress(self) -> None:
        if self._has_open_progress:
            self._has_open_progress = False
            print(file=self._err, flush=True)
