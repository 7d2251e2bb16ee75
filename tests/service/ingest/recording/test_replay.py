"""Into a real store over stages that answer at once; with real ones: tests/service/replay."""

import io
from contextlib import aclosing
from dataclasses import replace

import pytest

from service.errors import SessionEnded, Unprocessable
from service.ingest.recording.journal import Asked, Told
from service.ingest.recording.reader import Recording, open_recording
from service.ingest.recording.replay import replay
from service.ingest.recording.report import ReplayBegun, ReplayedAnswer, ReplayedChunk, ReplayItem
from service.llm.engine import Question
from service.sessions.record import Manner, SessionId
from tests.service.ingest.recording.tapes import make_looks, make_tape
from tests.service.ingest.replica import SESSION, Replica

EARLY, LATE = (Asked("what ?", "yes", end_s, "stop", 1) for end_s in (4.0, 400.0))


def make_recording(*lines: Told | Asked) -> Recording:
    return open_recording(io.BytesIO(make_tape(make_looks(8), lines)))


async def replayed(recording: Recording, replica: Replica, **options: float) -> list[ReplayItem]:
    items = replay(recording, SESSION, replica.around, **options)  # type: ignore[arg-type]  # max_s
    return [item async for item in items]


async def test_chunks_come_in_order_and_questions_after_the_chunk_that_they_had_seen(
    replica: Replica,
) -> None:
    items = await replayed(make_recording(EARLY), replica)

    assert isinstance(items[0], ReplayBegun)
    assert [getattr(item, "index", "?") for item in items[1:]] == [0, 1, "?", 2, 3]
    assert items[3] == ReplayedAnswer(EARLY, "yes")
    assert replica.llm.indices[SESSION] == [0, 1, 2, 3]


async def test_the_sessions_watchers_are_told_of_every_chunk(replica: Replica) -> None:
    await replayed(make_recording(), replica)

    told = [event for event in await replica.events() if event.type == "chunk"]
    assert [event.data["index"] for event in told] == [0, 1, 2, 3]
    assert set(told[0].data["stages_s"]) == {"encode", "compress", "prefill"}
    assert replica.around.metrics.registry.get_sample_value("omnisift_chunks_total") == 4


async def test_what_does_not_come_again_is_told_at_the_end(replica: Replica) -> None:
    items = await replayed(make_recording(Told("chunk", {"index": 99}), LATE), replica)

    chunk, answer = items[-2:]
    assert isinstance(chunk, ReplayedChunk)
    assert isinstance(answer, ReplayedAnswer)
    assert (chunk.index, chunk.differences) == (99, ("missing",))
    assert (answer.answer, answer.is_same) == (None, False)


async def test_a_chunk_that_fails_does_not_end_the_replay(replica: Replica) -> None:
    replica.encoder.script.failures[1] = [RuntimeError("secret words")] * 9

    items = await replayed(make_recording(), replica)

    chunks = [item for item in items if isinstance(item, ReplayedChunk)]
    assert [chunk.index for chunk in chunks] == [0, 1, 2, 3]
    assert [chunk.failure for chunk in chunks] == [None, "RuntimeError", None, None]


async def test_it_ends_with_its_session(replica: Replica) -> None:
    async with aclosing(replay(make_recording(), SESSION, replica.around)) as items:
        await anext(items)
        replica.compressor.script.failures[0] = [SessionEnded(SESSION, reason="deleted")]
        with pytest.raises(SessionEnded):
            await anext(items)


async def test_a_file_that_is_too_long_is_not_played_for_ever(replica: Replica) -> None:
    with pytest.raises(Unprocessable, match="longer than 4 s"):
        await replayed(make_recording(), replica, max_s=4.0)


async def test_the_same_file_can_be_replayed_again(replica: Replica) -> None:
    recording = make_recording(EARLY)

    first = await replayed(recording, replica)
    async with aclosing(replay(recording, SESSION, replica.around)) as items:
        await anext(items)  # and be left halfway
    again = await replayed(replace(recording), replica)

    assert [getattr(item, "index", None) for item in again] == [
        getattr(item, "index", None) for item in first
    ]


async def test_what_was_drawn_is_skipped_and_what_was_windowed_is_asked_alike(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = replace(EARLY, manner=Manner(temperature=0.7))
    windowed = replace(EARLY, manner=Manner(window_s=2.0, reached_s=8.0))
    questions = list[Question]()
    ask = replica.llm.ask

    def listen(session_id: SessionId, question: Question, **_: object) -> object:
        questions.append(question)
        return ask(session_id, question)

    monkeypatch.setattr(replica.llm, "ask", listen)
    items = await replayed(make_recording(drawn, windowed), replica)

    answers = [item for item in items if isinstance(item, ReplayedAnswer)]
    assert [answer.is_same for answer in answers] == [None, True]
    assert [question.window_s for question in questions] == [2.0]
    # after the chunk that was in context when it was asked, not the one that it was about
    assert isinstance(items[-1], ReplayedAnswer)
