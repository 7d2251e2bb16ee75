"""What a question is told about the part of a stream that is no longer held."""

import pytest

from service.llm.note import LONGEST_NOTE, gap_note, lost_s
from tests.service.llm.units import build_unit


@pytest.mark.parametrize(
    ("indices", "num_sinks", "expected"),
    [
        ([], 0, None),
        ([0, 1], 0, None),
        ([7, 8], 0, (0.0, 14.0)),
        ([0, 1, 7, 8], 2, (4.0, 14.0)),
        ([0, 1, 2, 3], 2, None),
        ([0, 1], 2, None),
        ([7, 8], 2, (0.0, 14.0)),
    ],
)
def test_missing_stretch_lies_before_the_units_or_after_the_sinks(
    indices: list[int], num_sinks: int, expected: tuple[float, float] | None
) -> None:
    assert lost_s([build_unit(index) for index in indices], num_sinks) == expected


def test_note_names_the_stretch() -> None:
    note = gap_note(8.0, 3300.0, now_s=3600.0)

    assert note == "(3600 s of stream so far; 8 s to 3300 s are not in memory.)\n"
    assert len(note) < len(LONGEST_NOTE)
