"""How many tokens of each unit a budget lets a context hold. Pure: knows nothing about caches.

What a unit may hold follows from the numbers of tokens with which it and the newer ones came, and
for sinks from the very first ones. It does not depend on when that is asked, nor on what was held
before. So whoever reads the end of a log decides as those did who saw all of it; and since newer
units only ever come in addition, no unit regains a token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, Protocol

from compressor.tokens import TokenCounts
from service.llm.unit import Unit

NOTHING = TokenCounts(0, 0)
PolicyName = Literal["progressive", "fifo", "sinks"]


class Policy(Protocol):
    """Decides from `Unit.arrived` and `Unit.index` alone."""

    @property
    def num_sinks(self) -> int:
        """Units with an index below this are kept for good."""
        ...

    def plan(self, units: Sequence[Unit], max_tokens: int) -> list[TokenCounts]:
        """Decide what each unit may hold.

        Args:
            units: Oldest first.
            max_tokens: What they may hold together.
        """
        ...

    def admits(self, arrived: TokenCounts, max_tokens: int) -> bool:
        """Whether a unit of this size can be held at all."""
        ...

    def is_full(self, units: Sequence[Unit], max_tokens: int) -> bool:
        """Whether these leave no room for a token of any older unit that is no sink."""
        ...


@dataclass(frozen=True, slots=True)
class Fifo:
    """Whole units, the newest that fit; before them the first ones of the stream, if so wished.

    Sinks share half of the budget evenly; one that is larger than its share comes reduced.

    Attributes:
        num_sinks: So many units from the stream's start stay.
    """

    num_sinks: int = 0

    def __post_init__(self) -> None:
        if self.num_sinks < 0:
            raise ValueError(f"num_sinks must be 0 or more, got {self.num_sinks}")

    def plan(self, units: Sequence[Unit], max_tokens: int) -> list[TokenCounts]:
        """See `Policy`."""
        sinks, rest, left = self._split(units, max_tokens)
        totals = list(accumulate(unit.arrived.total for unit in reversed(rest)))[::-1]
        return sinks + [
            unit.arrived if total <= left else NOTHING
            for unit, total in zip(rest, totals, strict=True)
        ]

    def admits(self, arrived: TokenCounts, max_tokens: int) -> bool:
        """See `Policy`."""
        return arrived.total <= (max_tokens - max_tokens // 2 if self.num_sinks else max_tokens)

    def is_full(self, units: Sequence[Unit], max_tokens: int) -> bool:
        """See `Policy`."""
        _, rest, left = self._split(units, max_tokens)
        return sum(unit.arrived.total for unit in rest) >= left

    def _split(
        self, units: Sequence[Unit], max_tokens: int
    ) -> tuple[list[TokenCounts], Sequence[Unit], int]:
        """Give what sinks hold, the other units, and the budget that is left for those."""
        sinks = [unit for unit in units if unit.index < self.num_sinks]
        held = [self._sink(unit.arrived, max_tokens) for unit in sinks]
        return held, units[len(sinks) :], max_tokens - sum(counts.total for counts in held)

    def _sink(self, arrived: TokenCounts, max_tokens: int) -> TokenCounts:
        """Cut a sink to its share, its video before its audio."""
        share = max_tokens // 2 // self.num_sinks
        audio = min(arrived.audio, share)
        return TokenCounts(min(arrived.video, share - audio), audio)


@dataclass(frozen=True, slots=True)
class Progressive:
    """Video fades in steps as newer video comes; audio stays whole, and for longer.

    The budget has a part for video and a part for audio. A unit leaves when the audio from it on
    exceeds the audio's part. Until then its video shrinks from one tier to the next: the tiers,
    newest first, hold equal shares of the video's part, each at its keep ratio. Tier ends are
    counted in tokens as they came, so every tier's keep ratio tells how far it reaches.

    Attributes:
        video_ratio: Share of the budget that is for video, in (0, 1).
        keep_ratios: Held / arrived video tokens of each tier, falling, each in (0, 1].

    Raises:
        ValueError: On a value out of its range.
    """

    video_ratio: float = 0.3
    keep_ratios: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)

    def __post_init__(self) -> None:
        if not 0 < self.video_ratio < 1:
            raise ValueError(f"video_ratio must be in (0, 1), got {self.video_ratio}")
        ratios = self.keep_ratios
        is_falling = all(later < earlier for earlier, later in pairwise(ratios))
        if not ratios or not is_falling or ratios[0] > 1 or ratios[-1] <= 0:
            raise ValueError(f"keep_ratios must fall and be in (0, 1], got {ratios}")

    @property
    def num_sinks(self) -> int:
        """None: nothing is kept for good."""
        return 0

    def plan(self, units: Sequence[Unit], max_tokens: int) -> list[TokenCounts]:
        """See `Policy`."""
        tier_ends = self._tier_ends(max_tokens)
        held = []
        for unit, video, audio in _from_newest(units):
            is_over = audio > self._audio_tokens(max_tokens)
            ratios = zip(self.keep_ratios, tier_ends, strict=True)
            ratio = next((ratio for ratio, end in ratios if video <= end), 0.0)
            faded = TokenCounts(int(ratio * unit.arrived.video), unit.arrived.audio)
            held.append(NOTHING if is_over else faded)
        return held[::-1]

    def admits(self, arrived: TokenCounts, max_tokens: int) -> bool:
        """See `Policy`; a unit of much video comes faded."""
        return arrived.total <= max_tokens and arrived.audio <= self._audio_tokens(max_tokens)

    def is_full(self, units: Sequence[Unit], max_tokens: int) -> bool:
        """See `Policy`; a stream without audio fills nothing but the video's part."""
        video = sum(unit.arrived.video for unit in units)
        audio = sum(unit.arrived.audio for unit in units)
        end, limit = self._tier_ends(max_tokens)[-1], self._audio_tokens(max_tokens)
        return audio > limit or (audio == limit and video >= end)

    def _video_tokens(self, max_tokens: int) -> int:
        return int(max_tokens * self.video_ratio)

    def _audio_tokens(self, max_tokens: int) -> int:
        return max_tokens - self._video_tokens(max_tokens)

    def _tier_ends(self, max_tokens: int) -> list[float]:
        """Video tokens, as they came, from the newest unit to the end of each tier."""
        share = self._video_tokens(max_tokens) / len(self.keep_ratios)
        return list(accumulate(share / ratio for ratio in self.keep_ratios))


def _from_newest(units: Sequence[Unit]) -> Iterator[tuple[Unit, int, int]]:
    """Give each unit with the video and audio tokens that came from it on, newest first."""
    video = audio = 0
    for unit in reversed(units):
        video += unit.arrived.video
        audio += unit.arrived.audio
        yield unit, video, audio


def build_policy(
    name: PolicyName, *, num_sinks: int, video_ratio: float, keep_ratios: tuple[float, ...]
) -> Policy:
    """Build a policy by its name; what it does not know is ignored.

    Raises:
        ValueError: On a value out of its range.
    """
    if name == "progressive":
        return Progressive(video_ratio, keep_ratios)
    return Fifo(num_sinks if name == "sinks" else 0)
