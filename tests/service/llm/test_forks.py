import numpy as np

from service.llm.attention import Span
from service.llm.forks import num_shared_pages, probable_forks, used_pages
from service.llm.sequence import PagedSequence
from tests.service.llm.spans import make_spans
from tests.service.llm.thinker import build_pool


def test_reserved_pages_are_not_used_ones() -> None:
    pool = build_pool(page_tokens=4)
    sequence = PagedSequence(pool)
    sequence.reserve(30)
    sequence.advance(7)

    assert used_pages(Span(sequence, 0, 1)).tolist() == sequence.pages[:2]
    assert used_pages(Span(sequence, 0, 2)).tolist() == sequence.pages[:3]


def test_forks_share_all_full_pages_of_the_shortest() -> None:
    pool = build_pool(page_tokens=4)
    spans = make_spans(pool, [(18, 1)], [0, 9])
    tables = [used_pages(span) for span in spans]

    assert num_shared_pages(spans, tables) == 4
    assert num_shared_pages(spans[:1], tables[:1]) == 4


def test_fork_that_changed_a_page_shares_those_before_it() -> None:
    pool = build_pool(page_tokens=4)
    spans = make_spans(pool, [(20, 1)], [0])
    fork = spans[1].sequence
    fork.own()
    fork.pages[:2] = spans[0].sequence.pages[:2]
    tables = [used_pages(span) for span in spans]

    assert num_shared_pages(spans, tables) == 2


def test_groups_are_by_session_and_lose_none() -> None:
    pool = build_pool(page_tokens=4, num_pages=100)
    spans = make_spans(pool, [(20, 1), (20, 1), (3, 1)], [1, 2])

    groups = [[span.start for span in group] for group in probable_forks(spans)]

    assert groups == [[0, 3, 4], [1], [2]]
    assert np.concatenate(groups).size == len(spans)
