"""Sequences of tokens in pages, each token tagged by its value, against a plain list."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.llm.pages import PagePool, PoolExhausted
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import build_pool

PAGE_TOKENS = 4


def write(sequence: PagedSequence, *tags: int) -> None:
    """Append tokens whose keys and values are their tag."""
    sequence.reserve(len(tags))
    slots = sequence.slots(sequence.length, sequence.length + len(tags))
    for slot, tag in zip(slots.tolist(), tags, strict=True):
        for store in (sequence.pool.keys, sequence.pool.values):
            store.flatten(1, 2)[:, slot] = tag
    sequence.advance(len(tags))


def read(sequence: PagedSequence) -> list[int]:
    slots = sequence.slots(0, sequence.length)
    keys = sequence.pool.keys.flatten(1, 2)[:, slots]
    values = sequence.pool.values.flatten(1, 2)[:, slots]
    assert keys.eq(values).all()
    tags = keys[0, :, 0, 0]
    assert keys.eq(tags[None, :, None, None]).all()
    return tags.int().tolist()


@pytest.fixture
def pool() -> PagePool:
    return build_pool(num_pages=8, page_tokens=PAGE_TOKENS)


def test_fork_takes_no_page_and_first_writer_copies_the_tail(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, 1, 2, 3, 4, 5)
    free = pool.num_free

    fork = session.fork()
    assert pool.num_free == free

    write(fork, 60)
    assert pool.num_free == free - 1
    write(session, 6, 7)
    assert pool.num_free == free - 1  # nobody shares its tail any more
    assert read(session) == [1, 2, 3, 4, 5, 6, 7]
    assert read(fork) == [1, 2, 3, 4, 5, 60]


def test_fork_of_a_prefix_ignores_what_follows(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(10))

    fork = session.fork(length=6)
    write(fork, 70, 71, 72)

    assert read(fork) == [0, 1, 2, 3, 4, 5, 70, 71, 72]
    assert read(session) == list(range(10))


def test_reservation_is_all_or_nothing(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(30))
    fork = session.fork()
    before = list(fork.pages), pool.num_free

    with pytest.raises(PoolExhausted):
        fork.reserve(3)  # a copy of the tail and a page more, with none free

    assert (fork.pages, pool.num_free) == before


def test_writing_without_a_reservation_is_a_bug(pool: PagePool) -> None:
    session = PagedSequence(pool)

    with pytest.raises(AssertionError, match="without a reservation"):
        session.advance(1)


def test_truncate_gives_back_pages_and_reservations(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(9))
    session.reserve(10)

    session.truncate(5)

    assert read(session) == [0, 1, 2, 3, 4]
    assert pool.num_free == 6


def test_scrub_leaves_what_others_read(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, 1, 2, 3, 4, 5)
    fork = session.fork()
    write(fork, 6, 7)

    fork.release(scrub=True)

    assert read(session) == [1, 2, 3, 4, 5]
    assert pool.num_free == 6


def test_own_copies_shared_pages_only(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(6))
    fork = session.fork()

    session.own()

    assert pool.num_free == 4
    assert not set(session.pages) & set(fork.pages)
    assert read(session) == read(fork) == list(range(6))
    session.own()
    assert pool.num_free == 4


def test_retain_in_a_full_pool_needs_no_page_of_its_own(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(32))
    keep = np.ones(32, dtype=np.bool_)
    keep[3:14] = False

    order = session.retain(keep)

    assert read(session) == order.tolist()
    assert pool.num_free == 2


def test_retain_that_cannot_copy_changes_nothing(pool: PagePool) -> None:
    session = PagedSequence(pool)
    write(session, *range(32))
    fork = session.fork()
    keep = np.ones(32, dtype=np.bool_)
    keep[3:14] = False

    with pytest.raises(PoolExhausted):
        session.retain(keep)

    assert read(session) == read(fork) == list(range(32))


class Sequences(RuleBasedStateMachine):
    """Random operations on a session and its forks, beside lists that do the same."""

    @initialize()
    def start(self) -> None:
        self.pool = build_pool(num_pages=12, page_tokens=PAGE_TOKENS)
        self.pairs: list[tuple[PagedSequence, list[int]]] = [(PagedSequence(self.pool), [])]
        self.next_tag = 1

    def pick(self, data: st.DataObject) -> tuple[PagedSequence, list[int]]:
        return data.draw(st.sampled_from(self.pairs))

    @rule(data=st.data(), num_tokens=st.integers(1, 11))
    def append(self, data: st.DataObject, num_tokens: int) -> None:
        sequence, tags = self.pick(data)
        new = list(range(self.next_tag, self.next_tag + num_tokens))
        try:
            write(sequence, *new)
        except PoolExhausted:
            return
        tags += new
        self.next_tag += num_tokens

    @precondition(lambda self: len(self.pairs) < 5)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        sequence, tags = self.pick(data)
        length = data.draw(st.integers(0, sequence.length))
        self.pairs.append((sequence.fork(length), tags[:length]))

    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        sequence, tags = self.pick(data)
        keep = np.array(
            data.draw(st.lists(st.booleans(), min_size=len(tags), max_size=len(tags))),
            dtype=np.bool_,
        )
        try:
            order = sequence.retain(keep)
        except PoolExhausted:
            return
        assert sorted(order.tolist()) == np.flatnonzero(keep).tolist()
        tags[:] = [tags[index] for index in order]

    @rule(data=st.data())
    def own(self, data: st.DataObject) -> None:
        sequence, _ = self.pick(data)
        try:
            sequence.own()
        except PoolExhausted:
            return
        used = sequence.pages[: sequence.num_used_pages]
        assert not any(self.pool.is_shared(page) for page in used)

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        sequence, tags = self.pick(data)
        length = data.draw(st.integers(0, sequence.length))
        sequence.truncate(length, scrub=data.draw(st.booleans()))
        del tags[length:]

    @rule(data=st.data(), num_tokens=st.integers(0, 9))
    def reserve(self, data: st.DataObject, num_tokens: int) -> None:
        sequence, _ = self.pick(data)
        try:
            sequence.reserve(num_tokens)
        except PoolExhausted:
            return
        assert sequence.capacity >= sequence.length + num_tokens

    @invariant()
    def everyone_reads_its_own_tokens(self) -> None:
        for sequence, tags in self.pairs:
            assert read(sequence) == tags
        self.pool.check_integrity(sequence.pages for sequence, _ in self.pairs)

    def teardown(self) -> None:
        for sequence, _ in self.pairs:
            sequence.release()
        assert self.pool.num_free == self.pool.num_pages


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=60, stateful_step_count=40)
