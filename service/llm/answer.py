"""One answer as its tokens arrive: its text and when it ends. Knows nothing about the model."""

from collections.abc import Container
from typing import Protocol

from service.llm.engine import Sampling, TokenDelta
from service.llm.stops import StopStrings


class Detokenizer(Protocol):
    """Token ids to text, one at a time; see `compressor.omni.detokenizer`."""

    def push(self, token_id: int) -> str: ...

    def flush(self) -> str: ...


class Answer:
    """Text so far, and the reason for its end.

    Attributes:
        text: All text let through so far; equals the deltas' joined.
        num_tokens: Tokens generated; the end token does not count.
        reason: "stop" or "length" once the answer is over, else None.
    """

    def __init__(
        self, detokenizer: Detokenizer, stop_ids: Container[int], sampling: Sampling
    ) -> None:
        self.text = ""
        self.num_tokens = 0
        self.reason: str | None = None
        self._detokenizer = detokenizer
        self._stop_ids = stop_ids
        self._max_tokens = sampling.max_tokens
        self._stops = StopStrings(sampling.stop)

    def push(self, token_id: int) -> TokenDelta | None:
        """Take the next token.

        Returns:
            Its text, with all that was held back if the answer ends; None for an end token that
            releases no text.
        """
        text = ""
        if token_id in self._stop_ids:
            self.reason = "stop"
        else:
            self.num_tokens += 1
            text = self._stops.push(self._detokenizer.push(token_id))
            if self._stops.is_hit:
                self.reason = "stop"
            elif self.num_tokens == self._max_tokens:
                self.reason = "length"
        if self.reason is not None:
            text += self._stops.push(self._detokenizer.flush()) + self._stops.flush()
        self.text += text
        is_silent = token_id in self._stop_ids and not text
        return None if is_silent else TokenDelta(text, token_id)
