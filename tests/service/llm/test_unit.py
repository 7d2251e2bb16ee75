"""Chunks as units."""

from compressor.tokens import TokenCounts
from service.llm.unit import unit_of
from tests.service.llm.thinker import build_chunk
from tests.service.llm.units import build_unit


def test_chunk_becomes_a_unit_that_holds_all_of_it() -> None:
    chunk = build_chunk(3)

    unit = unit_of(chunk, ids_per_s=25)

    assert (unit.index, unit.start_id, unit.start_s, unit.end_s) == (3, 150, 6.0, 8.0)
    assert unit.arrived == unit.held == chunk.counts_kept
    assert unit.num_tokens == len(chunk.embeddings)


def test_reduced_unit_regains_nothing() -> None:
    unit = build_unit(0, video=6, audio=4)

    once = unit.reduced_to(TokenCounts(3, 9))
    twice = once.reduced_to(TokenCounts(5, 0))

    assert (once.held, twice.held) == (TokenCounts(3, 4), TokenCounts(3, 0))
    assert twice.arrived == TokenCounts(6, 4)
