"""What is counted when contexts lose tokens."""

from compressor.tokens import TokenCounts
from service.llm.forgotten import Forgotten, Loss
from tests.service.llm.units import build_unit


def test_losses_are_told_apart_by_change_cause_and_modality() -> None:
    forgotten = Forgotten()
    units = [build_unit(index, 6, 4) for index in range(3)]
    faded = [units[1].reduced_to(TokenCounts(2, 4)), units[2]]

    forgotten.count(units, faded, "budget")
    forgotten.count(faded, [], "pages")

    demoted, dropped, squeezed = (
        Loss("demoted", "budget"),
        Loss("dropped", "budget"),
        Loss("dropped", "pages"),
    )
    assert forgotten.units == {demoted: 1, dropped: 1, squeezed: 2}
    assert forgotten.tokens == {
        (dropped, "video"): 6,
        (dropped, "audio"): 4,
        (demoted, "video"): 4,
        (demoted, "audio"): 0,
        (squeezed, "video"): 8,
        (squeezed, "audio"): 8,
    }


def test_what_did_not_change_is_not_counted() -> None:
    forgotten = Forgotten()

    forgotten.count([build_unit(0)], [build_unit(0), build_unit(1)], "budget")

    assert (forgotten.units, forgotten.tokens) == ({}, {})
