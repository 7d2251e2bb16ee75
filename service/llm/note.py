"""A line of text that says what of a stream a context no longer holds. Pure.

It is part of a question's tail, so it is always true, costs nothing while nobody asks, and the
stream's own cache knows nothing of it.
"""

from collections.abc import Sequence

from service.llm.unit import Unit

MAX_STREAM_S = 9_999_999.0  # no note is longer than one about so long a stream


def lost_s(units: Sequence[Unit], num_sinks: int) -> tuple[float, float] | None:
    """Find the stretch of stream that is missing before the units held, or after the sinks.

    Args:
        units: Held, oldest first.
        num_sinks: Units with an index below this stay at the stream's start.

    Returns:
        Stream time of its start and end; None if nothing is missing there.
    """
    start_s = 0.0
    for unit in units:
        if unit.index >= num_sinks:
            return (start_s, unit.start_s) if unit.start_s > start_s else None
        start_s = unit.end_s
    return None


def gap_note(start_s: float, end_s: float, now_s: float) -> str:
    """Write the line.

    Args:
        start_s: Stream time from which on nothing is held.
        end_s: Stream time from which on something is again.
        now_s: Stream time up to which the answer can see.
    """
    return (
        f"({now_s:.0f} s of stream so far; {start_s:.0f} s to {end_s:.0f} s are not in memory.)\n"
    )


LONGEST_NOTE = gap_note(MAX_STREAM_S, MAX_STREAM_S, MAX_STREAM_S)
