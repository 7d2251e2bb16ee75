"""Life of a chunk in its session, and of a question; no model runs."""

from service.errors import BadRequest, EngineUnavailable
from service.llm.engine import Finished, TokenDelta
from service.llm.jobs import ChunkOutcome
from service.sessions.record import SessionId
from tests.service.llm.jobs import TAIL, ask, open_session, write
from tests.service.llm.thinker import build_chunk, build_forward


def test_chunk_is_reported_once_it_is_written() -> None:
    session = open_session(build_forward())
    session.chunks.append((build_chunk(4),))
    session.start(session.context.begin(*session.chunks[0]))
    write(session)

    outcomes = session.complete()

    assert outcomes == [ChunkOutcome(SessionId("s"), 4)]
    assert (session.feed, len(session.chunks)) == (None, 0)
    assert [unit.index for unit in session.context.window.units] == [4]


def test_failed_chunk_is_reported_and_leaves_nothing() -> None:
    session = open_session(build_forward())
    free = session.context.sequence.pool.num_free
    session.chunks.append((build_chunk(4),))
    session.start(session.context.begin(*session.chunks[0]))
    error = BadRequest("no")

    outcomes = session.fail(error)

    assert outcomes == [ChunkOutcome(SessionId("s"), 4, error)]
    assert session.context.sequence.pool.num_free == free
    assert session.context.window.units == ()


def test_chunk_can_be_turned_away_before_it_starts() -> None:
    session = open_session(build_forward())
    session.chunks.extend([(build_chunk(4),), (build_chunk(5),)])
    error = BadRequest("no")

    assert session.refuse(error) == ChunkOutcome(SessionId("s"), 4, error)
    assert len(session.chunks) == 1


def test_chunks_that_were_turned_away_may_come_again_if_none_has_followed() -> None:
    session = open_session(build_forward())
    session.chunks.extend([(build_chunk(3),), (build_chunk(4), build_chunk(6))])
    session.last_index = 6

    assert session.refuse(BadRequest("no")).index == 3
    assert session.last_index == 6
    assert session.refuse(BadRequest("no")).index == 6
    assert session.last_index == 3


def test_answer_ends_with_what_was_seen_and_how_long_it_took() -> None:
    session = open_session(build_forward())
    session.chunks.append((build_chunk(4),))
    session.start(session.context.begin(*session.chunks[0]))
    write(session)
    session.complete()
    seen = session.context.sequence.length
    times = iter([100.0, 100.5, 102.0])

    asked = ask(session, now=lambda: next(times))
    write(asked)
    items = []
    for token_id in b"abc":
        assert not asked.is_over
        items += [outcome.item for outcome in asked.receive(token_id)]

    assert asked.is_over
    assert items[:3] == [TokenDelta(letter, ord(letter)) for letter in "abc"]
    assert items[3] == Finished(
        text="abc",
        reason="length",
        prompt_tokens=seen + len(TAIL),
        completion_tokens=3,
        context_start_s=8.0,
        context_end_s=10.0,
        ttft_s=0.5,
        duration_s=2.0,
        spans=((8.0, 10.0),),
        tail_tokens=len(TAIL),
    )


def test_each_token_follows_at_the_next_position() -> None:
    session = open_session(build_forward())
    asked = ask(session)
    assert asked.feed is not None
    last = int(asked.feed.head(asked.num_left).positions.max())
    write(asked)

    for step in (1, 2):
        asked.receive(ord("a"))
        assert asked.feed.head(1).positions.tolist() == [[last + step]] * 3
        write(asked)


def test_question_reserves_all_it_can_need_and_gives_it_back() -> None:
    session = open_session(build_forward(page_tokens=1, num_pages=200))
    pool = session.context.sequence.pool
    free = pool.num_free

    asked = ask(session)
    assert pool.num_free == free - len(TAIL) - 2
    assert session.num_views == 1

    asked.release()
    asked.release()
    assert pool.num_free == free
    assert session.num_views == 0


def test_waiting_question_holds_nothing_and_can_be_cancelled() -> None:
    session = open_session(build_forward())

    asked = ask(session, start=False)

    assert (asked.num_left, asked.is_decoding, session.num_views) == (0, False, 0)
    item = asked.cancelled().item
    assert isinstance(item, Finished)
    assert (item.reason, item.text, item.ttft_s, item.prompt_tokens) == ("cancelled", "", None, 0)
    asked.release()


def test_failure_is_the_last_item() -> None:
    asked = ask(open_session(build_forward()))
    error = EngineUnavailable("no")

    assert asked.failed(error).item is error
