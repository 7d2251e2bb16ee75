"""Who gets pages when there are few."""

from dataclasses import replace

import pytest

from service.errors import AtCapacity
from service.llm.admission import MAX_OVERTAKEN, Admission, is_short_of_pages
from service.llm.config import EngineConfig
from service.llm.context import ContextRules
from service.llm.engine import Message, Question, Sampling
from service.llm.jobs import ChunkOutcome, LiveSession
from service.llm.policy import Progressive
from service.sessions.record import SessionId
from tests.service.llm.jobs import ask, new_session, open_session, write
from tests.service.llm.thinker import build_chunk, build_forward
from tests.service.llm.units import build_rules

CONFIG = EngineConfig(num_pages=40, page_tokens=8, context_tokens=400, question_ratio=0.25)


class Pool:
    """A pool of 40 pages, 30 of them for contexts, and sessions in it; a chunk takes about 4."""

    def __init__(
        self, *names: str, config: EngineConfig = CONFIG, rules: ContextRules | None = None
    ) -> None:
        self.forward = build_forward(num_pages=40, page_tokens=8)
        self.admission = Admission(self.forward.pool, config)
        self.sessions = [open_session(self.forward, name, rules) for name in names]

    @property
    def pages_held(self) -> int:
        return sum(len(session.context.sequence.pages) for session in self.sessions)

    @property
    def num_free(self) -> int:
        return self.forward.pool.num_free

    def push(self, session: LiveSession, *indices: int, keep: float = 0.4) -> list[ChunkOutcome]:
        """Queue chunks and write all that start."""
        session.chunks.extend((build_chunk(index, keep=keep),) for index in indices)
        return self.run()

    def run(self) -> list[ChunkOutcome]:
        outcomes = []
        while new := [*self.admission.start_chunks(self.sessions), *self._written()]:
            outcomes += new
        return outcomes

    def _written(self) -> list[ChunkOutcome]:
        outcomes = []
        for session in self.sessions:
            if session.feed is not None:
                write(session)
                outcomes += session.complete()
        return outcomes

    def fill(self) -> None:
        """Give each session chunks until the contexts' share is used up."""
        for index in range(8):
            for session in self.sessions:
                self.push(session, index)


def held(session: LiveSession) -> list[int]:
    return [unit.index for unit in session.context.window.units]


def question(name: str, max_tokens: int = 3) -> Question:
    return Question(name, (Message("user", "what?"),), Sampling(max_tokens=max_tokens))


def test_chunks_start_in_order_one_at_a_time() -> None:
    pool = Pool("a", "b")
    pool.sessions[0].chunks.extend([(build_chunk(0),), (build_chunk(1),)])
    pool.sessions[1].chunks.append((build_chunk(7),))

    assert list(pool.admission.start_chunks(pool.sessions)) == []

    assert [len(session.chunks) for session in pool.sessions] == [2, 1]
    assert pool.run() == [
        ChunkOutcome(SessionId("a"), 0),
        ChunkOutcome(SessionId("b"), 7),
        ChunkOutcome(SessionId("a"), 1),
    ]


def test_chunk_of_which_nothing_was_kept_is_done_at_once() -> None:
    pool = Pool("a")

    assert pool.push(pool.sessions[0], 0, 1, keep=0.0) == [
        ChunkOutcome(SessionId("a"), 0),
        ChunkOutcome(SessionId("a"), 1),
    ]


def test_contexts_leave_the_questions_share() -> None:
    pool = Pool("a", "b")

    pool.fill()

    assert 10 <= pool.num_free < 16


def test_full_share_costs_a_session_its_own_oldest_units_only() -> None:
    pool = Pool("a", "b")
    pool.fill()
    first, second = pool.sessions
    before = held(second)

    for index in range(8, 12):
        assert pool.push(first, index) == [ChunkOutcome(SessionId("a"), index)]

    assert held(second) == before
    assert held(first)[-1] == 11
    assert len(held(first)) >= 2


def test_chunks_that_enter_together_are_refused_rather_than_shrunk_for() -> None:
    pool = Pool("a", "b")
    pool.fill()
    first = pool.sessions[0]
    before, free = held(first), pool.num_free
    first.chunks.append((build_chunk(8), build_chunk(9)))

    [outcome] = pool.run()

    assert isinstance(outcome.error, AtCapacity)
    assert (outcome.index, first.last_index) == (9, 7)
    assert (held(first), pool.num_free) == (before, free)
    assert [pool.push(first, index)[0].error for index in (8, 9)] == [None, None]


def test_full_share_refuses_a_session_and_gives_nothing_away() -> None:
    pool = Pool("a", "b")
    pool.fill()
    newcomer = new_session(pool.forward, "c")
    free = pool.num_free

    with pytest.raises(AtCapacity) as caught:
        pool.admission.open(newcomer, pool.sessions)

    assert (caught.value.details["stage"], caught.value.details["limit"]) == ("kv_pages", 40)
    assert newcomer.feed is None
    assert pool.num_free == free


def test_session_is_opened_where_there_is_room() -> None:
    pool = Pool("a")
    fresh = new_session(pool.forward, "b")

    pool.admission.open(fresh, pool.sessions)

    assert fresh.num_left > 0


def test_contexts_stay_within_their_total() -> None:
    pool = Pool("a", "b", config=replace(CONFIG, total_tokens=200))

    pool.fill()

    assert 20 <= pool.pages_held <= 25


def test_reserve_of_a_session_is_safe_from_the_others() -> None:
    pool = Pool("a", "b")
    eager, late = pool.sessions
    pool.push(eager, *range(12))

    assert pool.push(late, 0) == [ChunkOutcome(SessionId("b"), 0)]

    tokens = late.context.header_tokens + late.context.window.num_tokens
    reserve = late.context.header_tokens + 400 // 8
    while tokens + 30 <= reserve:
        pool.push(late, held(late)[-1] + 1)
        assert len(held(late)) == held(late)[-1] + 1
        tokens = late.context.header_tokens + late.context.window.num_tokens
    assert pool.pages_held <= 30


def test_sessions_whose_whole_budget_is_reserved_are_refused_rather_than_shrunk() -> None:
    config = replace(CONFIG, context_tokens=100, reserve_ratio=1.0)
    pool = Pool("a", config=config)

    with pytest.raises(AtCapacity):
        pool.admission.open(new_session(pool.forward, "b"), pool.sessions)


def test_full_share_demotes_before_it_drops() -> None:
    config = replace(CONFIG, total_tokens=180)
    rules = build_rules(1000, policy=Progressive(0.2, (1.0, 0.5, 0.2)))
    pool = Pool("a", config=config, rules=rules)
    [session] = pool.sessions

    index = 0
    while all(unit.held == unit.arrived for unit in session.context.window.units):
        pool.push(session, index)
        index += 1

    units = session.context.window.units
    assert sum(unit.arrived.video for unit in units) < 1000 * 0.2 / 3  # the budget asks for nothing
    assert held(session)[0] == 0
    assert units[0].held.video < units[0].arrived.video
    assert units[0].held.audio == units[0].arrived.audio
    assert pool.pages_held <= 180 // 8


def test_chunk_without_any_page_is_refused() -> None:
    pool = Pool("a", "b", "c", "d")  # the headers alone take most of the share
    pool.forward.pool.take(pool.num_free - 1)

    outcomes = pool.push(pool.sessions[0], 0)

    assert len(outcomes) == 1
    assert isinstance(outcomes[0].error, AtCapacity)


def test_chunk_waits_for_questions_that_share_its_sessions_pages() -> None:
    pool = Pool("a")
    session = pool.sessions[0]
    pool.fill()
    asked = ask(session, question("q"))
    before = held(session)
    hoard = pool.forward.pool.take(pool.num_free)

    assert pool.push(session, 20) == []
    assert session.is_waiting
    other = ask(session, question("late"), start=False)
    assert list(pool.admission.start_questions([asked, other])) == []
    assert other.feed is None

    asked.release()
    assert pool.run() == [ChunkOutcome(SessionId("a"), 20)]
    assert set(held(session)) < {*before, 20}
    pool.forward.pool.release(hoard)


def test_other_sessions_questions_cost_a_session_units_but_no_time() -> None:
    pool = Pool("a", "b")
    pool.fill()
    asked = ask(pool.sessions[1], question("q"))
    hoard = pool.forward.pool.take(pool.num_free)

    assert pool.push(pool.sessions[0], 20) == [ChunkOutcome(SessionId("a"), 20)]

    asked.release()
    pool.forward.pool.release(hoard)


def test_questions_of_one_size_start_in_the_order_they_came() -> None:
    pool = Pool("a", "b")
    hoard = pool.forward.pool.take(pool.num_free - 11)
    questions = [ask(pool.sessions[n % 2], question(str(n), 40), start=False) for n in range(3)]

    assert list(pool.admission.start_questions(questions)) == []
    assert [asked.feed is not None for asked in questions] == [True, False, False]

    questions.pop(0).release()
    assert list(pool.admission.start_questions(questions)) == []
    assert [asked.feed is not None for asked in questions] == [True, False]
    pool.forward.pool.release(hoard)


def test_question_that_waits_for_pages_does_not_hold_up_smaller_ones() -> None:
    pool = Pool("a", "b")
    hoard = pool.forward.pool.take(pool.num_free - 14)
    big = [ask(pool.sessions[0], question(name, 40), start=False) for name in "pq"]
    small = ask(pool.sessions[1], question("r", 1), start=False)

    assert list(pool.admission.start_questions([*big, small])) == []

    assert [asked.feed is not None for asked in (*big, small)] == [True, False, True]
    pool.forward.pool.release(hoard)


def test_question_is_not_overtaken_for_ever() -> None:
    pool = Pool("a", "b")
    hoard = pool.forward.pool.take(pool.num_free - 14)
    first, waits = [ask(pool.sessions[0], question(name, 40), start=False) for name in "pq"]
    num_started = 0
    for number in range(MAX_OVERTAKEN + 3):
        small = ask(pool.sessions[1], question(str(number), 1), start=False)
        assert list(pool.admission.start_questions([first, waits, small])) == []
        num_started += small.feed is not None
        small.release()

    assert num_started == MAX_OVERTAKEN
    first.release()
    small = ask(pool.sessions[1], question("last", 1), start=False)
    assert list(pool.admission.start_questions([waits, small])) == []
    assert waits.feed is not None
    assert small.feed is not None
    pool.forward.pool.release(hoard)


def test_question_that_nothing_will_make_room_for_is_refused() -> None:
    pool = Pool("a")
    asked = ask(pool.sessions[0], question("q", 500), start=False)

    outcomes = list(pool.admission.start_questions([asked]))

    assert [outcome.question_id for outcome in outcomes] == ["q"]
    assert isinstance(outcomes[0].item, AtCapacity)


def test_question_waits_for_the_header() -> None:
    pool = Pool("a")
    session = new_session(pool.forward, "b")
    pool.admission.open(session, pool.sessions)
    asked = ask(session, question("q"), start=False)

    list(pool.admission.start_questions([asked]))
    assert asked.feed is None

    write(session)
    session.complete()
    list(pool.admission.start_questions([asked]))
    assert asked.feed is not None


def test_room_shrinks_as_contexts_grow_and_is_never_negative() -> None:
    pool = Pool("a", "b")
    session = pool.sessions[0]
    for index in range(3):
        pool.push(session, index)  # beyond its reserve
    before = pool.admission.room_tokens(pool.sessions)
    held_before = session.context.sequence.num_used_pages

    pool.push(session, 3)

    grown = session.context.sequence.num_used_pages - held_before
    assert pool.admission.room_tokens(pool.sessions) == before - 8 * grown
    for index in range(4, 20):
        pool.push(session, index)
    assert 0 <= pool.admission.room_tokens(pool.sessions) < 48
    fewer = EngineConfig(question_ratio=0.9)
    assert Admission(pool.forward.pool, fewer).room_tokens(pool.sessions) == 0


@pytest.mark.parametrize(("stage", "expected"), [("kv_pages", True), ("questions", False)])
def test_shortage_of_pages_is_told_from_others(stage: str, expected: bool) -> None:
    assert is_short_of_pages(AtCapacity(stage=stage, limit=1)) is expected
