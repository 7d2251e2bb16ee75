"""Finds stop strings in text that arrives in pieces. Knows nothing about tokens."""

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to the first stop string.

    What may be the beginning of a stop string is held back until the text that follows decides.

    Attributes:
        is_hit: Whether a stop string was found; nothing comes after it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.is_hit = False
        self._stops = tuple(stops)
        self._held = ""

    def push(self, text: str) -> str:
        """Take new text; returns the text that is certain to precede any stop string."""
        if self.is_hit:
            return ""
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.is_hit = True
            self._held = ""
            return text[: min(found)]
        certain = len(text) - self._num_doubtful(text)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """Return what was held back; no more text comes."""
        text, self._held = self._held, ""
        return text

    def _num_doubtful(self, text: str) -> int:
        """Length of the longest end of `text` with which a stop string begins."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
