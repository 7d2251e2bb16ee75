"""How much contexts have lost so far, and why. Knows nothing about how it is published."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.llm.unit import Unit

Change = Literal["demoted", "dropped"]
Cause = Literal["budget", "pages"]


@dataclass(frozen=True, slots=True)
class Loss:
    """A kind of loss.

    Attributes:
        change: Whether the unit went on with fewer tokens ("demoted") or went ("dropped").
        cause: "budget" is what the policy decides, and would again; "pages" is a shortage of them.
    """

    change: Change
    cause: Cause


class Forgotten:
    """Counts losses of all contexts that share it."""

    def __init__(self) -> None:
        self._units: Counter[Loss] = Counter()
        self._tokens: Counter[tuple[Loss, str]] = Counter()

    @property
    def units(self) -> Mapping[Loss, int]:
        """Units by how they lost tokens; a unit counts again each time."""
        return dict(self._units)

    @property
    def tokens(self) -> Mapping[tuple[Loss, str], int]:
        """Tokens by how they were lost, and their modality."""
        return dict(self._tokens)

    def count(self, before: Sequence[Unit], after: Sequence[Unit], cause: Cause) -> None:
        """Count what of `before` is missing in `after`."""
        left = {unit.index: unit for unit in after}
        for unit in before:
            rest = left.get(unit.index)
            if rest is not None and rest.num_tokens == unit.num_tokens:
                continue
            loss = Loss("dropped" if rest is None else "demoted", cause)
            self._units[loss] += 1
            video, audio = (0, 0) if rest is None else (rest.held.video, rest.held.audio)
            self._tokens[loss, "video"] += unit.held.video - video
            self._tokens[loss, "audio"] += unit.held.audio - audio
