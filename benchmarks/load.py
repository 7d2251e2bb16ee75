"""What a number of live streams asked of one device, and whether it kept up. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.percentiles import percentile

MAX_LAG_S = 2.0  # of p99: a chunk is in context before the next one is complete


@dataclass(frozen=True, slots=True)
class Load:
    """One run of many streams.

    Attributes:
        num_streams: How many.
        span_s: Seconds of stream that each of them sent.
        lags_s: End of each chunk's media to its tokens in context.
        ttfts_s: Arrival of each question to its first token.
        busy_s: Time of the device by stage, for all that arrived in the span.
    """

    num_streams: int
    span_s: float
    lags_s: Sequence[float]
    ttfts_s: Sequence[float]
    busy_s: Mapping[str, float]

    @property
    def lag_p99_s(self) -> float:
        return percentile(self.lags_s, 0.99)

    @property
    def busy_ratio(self) -> float:
        """Work that arrives per second of work that can be done; above 1 the lag grows for ever."""
        return sum(self.busy_s.values()) / self.span_s

    @property
    def is_sustained(self) -> bool:
        """Whether chunks are in context in time, and would be however long this went on."""
        return self.lag_p99_s < MAX_LAG_S and self.busy_ratio < 1

    @property
    def shares(self) -> dict[str, float]:
        """Share of each stage in the work."""
        total = sum(self.busy_s.values())
        return {stage: busy_s / total for stage, busy_s in self.busy_s.items()}


__all__ = ["MAX_LAG_S", "Load"]
