from hypothesis import given
from hypothesis import strategies as st

from benchmarks.search import largest

LIMITS = st.integers(1, 300)


@given(LIMITS, st.data(), st.sampled_from([1.25, 2.0]))
def test_answer_is_the_largest_that_passes(limit: int, data: st.DataObject, growth: float) -> None:
    answer = data.draw(st.integers(0, limit + 5))
    start = data.draw(st.integers(1, limit))
    tested: list[int] = []

    def passes(number: int) -> bool:
        tested.append(number)
        return number <= answer

    found = largest(passes, start=start, limit=limit, growth=growth)

    assert found == min(answer, limit)
    assert len(tested) == len(set(tested))
    assert all(1 <= number <= limit for number in tested)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_answer_within_tolerance_has_passed(answer: int, start: int) -> None:
    tested: list[int] = []

    def passes(number: int) -> bool:
        tested.append(number)
        return number <= answer

    found = largest(passes, start=start, limit=1000, tolerance=0.1)

    assert found == 0 or found in tested
    assert answer - found <= 0.1 * max(found, 1) + 1
