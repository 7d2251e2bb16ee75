"""Stop strings, wherever the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.llm.stops import StopStrings


def let_through(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    filtered = StopStrings(stops)
    text = "".join(filtered.push(piece) for piece in pieces)
    return text + filtered.flush(), filtered.is_hit


def test_text_without_stops_passes_at_once() -> None:
    filtered = StopStrings(())

    assert filtered.push("a b") == "a b"
    assert filtered.flush() == ""


def test_beginning_of_a_stop_is_held_back_until_it_is_decided() -> None:
    filtered = StopStrings(["END"])

    assert filtered.push("the E") == "the "
    assert filtered.push("N") == ""
    assert filtered.push("V") == "ENV"
    assert not filtered.is_hit


def test_stop_over_several_pieces_is_cut_out() -> None:
    assert let_through(["END"], ["the E", "N", "D of it"]) == ("the ", True)


def test_nothing_follows_a_stop() -> None:
    filtered = StopStrings(["\n"])
    filtered.push("a\nb")

    assert filtered.push("c") == ""
    assert filtered.flush() == ""


def test_earliest_stop_wins() -> None:
    assert let_through(["b", "ab"], ["xab"]) == ("x", True)


def test_overlapping_beginnings_are_found() -> None:
    assert let_through(["aab"], ["aa", "ab"]) == ("a", True)


@pytest.mark.parametrize("stop", ["ab", "aa", "aba", "b"])
@given(st.lists(st.text("ab", max_size=4), max_size=8))
def test_where_the_text_is_cut_does_not_matter(stop: str, pieces: list[str]) -> None:
    whole = "".join(pieces)

    assert let_through([stop], pieces) == (whole.split(stop)[0], stop in whole)
