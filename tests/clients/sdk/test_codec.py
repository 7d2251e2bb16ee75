from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sdk.codec import decode, encode
from clients.sdk.errors import MalformedAnswer


@dataclass(frozen=True, slots=True)
class Inner:
    in_: int = field(metadata={"json": "in"})


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    at_s: float
    inner: Inner
    reason: str | None
    sizes: tuple[tuple[int, int], ...] = ()
    stages_s: Mapping[str, float] = field(default_factory=dict)
    local: str = field(default="", metadata={"json": None})


FULL = {
    "name": "a",
    "at_s": 1.5,
    "inner": {"in": 3},
    "reason": "because",
    "sizes": [[1, 2], [3, 4]],
    "stages_s": {"encode": 0.5},
}


def test_every_field_is_read_by_its_type() -> None:
    assert decode(Outer, FULL) == Outer(
        "a", 1.5, Inner(3), "because", ((1, 2), (3, 4)), {"encode": 0.5}
    )


def test_unknown_fields_are_ignored() -> None:
    assert decode(Inner, {"in": 1, "new": {"deep": []}}) == Inner(1)


def test_absent_field_takes_its_default_or_none_where_that_is_allowed() -> None:
    outer = decode(Outer, {"name": "a", "at_s": 1, "inner": {"in": 3}})

    assert outer == Outer("a", 1.0, Inner(3), None)
    assert isinstance(outer.at_s, float)


def test_field_that_is_off_the_wire_is_neither_read_nor_written() -> None:
    outer = decode(Outer, {**FULL, "local": "theirs"})

    assert outer.local == ""
    assert "local" not in encode(outer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "Outer.name is not str: '3'"),
        ({"name": None}, "Outer.name is not str"),
        ({"at_s": True}, "Outer.at_s is not float"),
        ({"inner": {}}, "Outer.inner.in is missing"),
        ({"inner": {"in": 1.5}}, "Outer.inner.in is not int"),
        ({"inner": {"in": False}}, "Outer.inner.in is not int"),
        ({"inner": []}, "Outer.inner is not an object"),
        ({"sizes": [[1, 2, 3]]}, r"Outer.sizes\[0\] is not a list of 2"),
        ({"sizes": "12"}, "Outer.sizes is not a list"),
        ({"stages_s": {"encode": "slow"}}, "Outer.stages_s.encode is not float"),
        ({"stages_s": []}, "Outer.stages_s is not an object"),
    ],
)
def test_wrong_type_is_refused_and_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedAnswer, match=message):
        decode(Outer, FULL | change)


@given(
    st.builds(
        Outer,
        name=st.text(),
        at_s=st.floats(allow_nan=False),
        inner=st.builds(Inner, in_=st.integers()),
        reason=st.none() | st.text(),
        sizes=st.lists(st.tuples(st.integers(), st.integers()), max_size=3).map(tuple),
        stages_s=st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=3),
    )
)
def test_encode_is_the_inverse_of_decode(outer: Outer) -> None:
    assert decode(Outer, encode(outer)) == outer
