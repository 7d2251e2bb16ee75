"""The engine's core against the stock model, and what it gives back."""

from dataclasses import replace

import pytest

from service.errors import EngineUnavailable, SessionNotFound
from service.llm.config import EngineConfig
from service.llm.engine import Message, Question, Sampling
from service.llm.note import gap_note
from service.llm.policy import Fifo
from tests.service.llm.desk import NUM_TOKENS, A, B, Desk, ask, stream
from tests.service.llm.thinker import Thinker, build_chunk, build_scheduler, greedy


def test_answer_equals_the_stock_models(thinker: Thinker) -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.run()

    desk.ask(A, "what?")
    desk.run()

    assert desk.tokens["what?"] == greedy(thinker, stream(1), "what?", NUM_TOKENS)
    assert desk.finished("what?").context_end_s == 6.0


def test_chunks_that_enter_together_are_one_outcome_and_hold_up_no_other_session(
    thinker: Thinker,
) -> None:
    desk = Desk()
    desk.open(A)
    desk.open(B)
    desk.run()

    assert desk.scheduler.append(A, *stream(1, 6)) == 5
    desk.step()
    desk.scheduler.append(B, build_chunk(0, seed=2))
    desk.run()
    desk.ask(A, "what?")
    desk.run()

    assert desk.chunks == [(B, 0), (A, 5)]
    assert desk.tokens["what?"] == greedy(thinker, stream(1, 6), "what?", NUM_TOKENS)


def test_questions_together_equal_one_by_one(thinker: Thinker) -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.run()
    texts = ["what?", "who is speaking now?", "count", "x" * 90]

    for text in texts:
        desk.ask(A, text)
    desk.run()

    for text in texts:
        assert desk.tokens[text] == greedy(thinker, stream(1), text, NUM_TOKENS)
    alone = Desk()
    alone.open(A, *stream(1))
    alone.run()
    for text in texts:
        alone.ask(A, text)
        alone.run()
    assert alone.tokens == desk.tokens


def test_sessions_never_mix(thinker: Thinker) -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.open(B, *stream(2))
    desk.run()

    for _ in range(3):
        desk.ask(A, "what?", "of a")
        desk.ask(B, "what?", "of b")
        desk.run()
        assert desk.tokens.pop("of a") == greedy(thinker, stream(1), "what?", NUM_TOKENS)
        assert desk.tokens.pop("of b") == greedy(thinker, stream(2), "what?", NUM_TOKENS)
        desk.ends.clear()


def test_stream_goes_on_while_an_answer_is_given(thinker: Thinker) -> None:
    desk = Desk()
    desk.open(A, *stream(1, 2))
    desk.run()
    desk.ask(A, "before")
    desk.step()

    desk.scheduler.append(A, stream(1)[2])
    desk.run()
    desk.ask(A, "after")
    desk.run()

    assert desk.tokens["before"] == greedy(thinker, stream(1, 2), "before", NUM_TOKENS)
    assert desk.tokens["after"] == greedy(thinker, stream(1, 3), "after", NUM_TOKENS)


def test_question_in_the_middle_of_a_chunk_sees_complete_chunks_only(thinker: Thinker) -> None:
    config = EngineConfig(num_pages=200, step_tokens=20, context_tokens=400, max_questions=4)
    desk = Desk(build_scheduler(config))
    desk.open(A, *stream(1, 2))
    while len(desk.chunks) < 1:
        desk.step()
    desk.step()
    assert len(desk.chunks) == 1  # the second chunk is half written

    desk.ask(A, "what?")
    desk.run()

    assert desk.finished("what?").context_end_s == 2.0
    assert desk.tokens["what?"] == greedy(thinker, stream(1, 1), "what?", NUM_TOKENS)


def test_window_limits_what_a_question_sees() -> None:
    desk = Desk()
    desk.open(A, *stream(1, 5))
    desk.run()

    desk.scheduler.ask(A, ask("what?", "last", Sampling(max_tokens=2), window_s=4.0))
    desk.ask(A, "what?", "all", max_tokens=2)
    desk.run()

    last, whole = desk.finished("last"), desk.finished("all")
    assert (last.context_start_s, last.context_end_s) == (6.0, 10.0)
    assert (whole.context_start_s, whole.context_end_s) == (0.0, 10.0)
    dropped = sum(len(chunk.embeddings) for chunk in stream(1, 3))
    assert whole.prompt_tokens - last.prompt_tokens == dropped


def test_question_is_told_what_is_no_longer_held_if_so_wished() -> None:
    config = EngineConfig(num_pages=200, context_tokens=100, policy=Fifo(), notes_gaps=True)
    plain = replace(config, notes_gaps=False)
    desks = {name: Desk(build_scheduler(c)) for name, c in (("told", config), ("not", plain))}
    lengths = {}

    for name, desk in desks.items():
        desk.open(A, *stream(1, 2))
        desk.run()
        desk.ask(A, "what?", "early")
        desk.run()
        for index in range(2, 7):
            desk.scheduler.append(A, build_chunk(index, seed=1))
        desk.run()
        desk.ask(A, "what?", "late")
        desk.scheduler.ask(A, ask("what?", "last", Sampling(max_tokens=2), window_s=4.0))
        desk.run()
        lengths[name] = [desk.finished(q).prompt_tokens for q in ("early", "late", "last")]

    note = gap_note(0.0, desks["told"].scheduler.units(A)[0].start_s, now_s=14.0)
    told, untold = lengths["told"], lengths["not"]
    assert [a - b for a, b in zip(told, untold, strict=True)] == [0, len(note), 0]


def test_note_is_what_a_user_could_have_written() -> None:
    config = EngineConfig(num_pages=200, context_tokens=100, policy=Fifo())
    told, plain = (
        Desk(build_scheduler(replace(config, notes_gaps=flag))) for flag in (True, False)
    )
    for desk in (told, plain):
        desk.open(A, *stream(1, 7))
        desk.run()

    told.ask(A, "what?", "q")
    oldest = plain.scheduler.units(A)[0]
    plain.ask(A, gap_note(0.0, oldest.start_s, now_s=14.0) + "what?", "q")
    told.run()
    plain.run()

    assert oldest.index > 2
    assert told.tokens["q"] == plain.tokens["q"]


def test_conversation_goes_into_one_tail() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    turns = (Message("user", "what?"), Message("assistant", "a dog"), Message("user", "where?"))
    desk.run()

    desk.scheduler.ask(A, Question("multi", turns, Sampling(max_tokens=4)))
    desk.ask(A, "where?", "single", max_tokens=4)
    desk.run()

    more = desk.finished("multi").prompt_tokens - desk.finished("single").prompt_tokens
    assert more == len("what?") + 4 + len("assistant\na dog") + 2 + len("user\n")


def test_seeded_answers_repeat_in_any_company() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.run()
    desk.ask(A, "what?", "alone", temperature=1.0, seed=5)
    desk.run()

    desk.ask(A, "what?", "again", temperature=1.0, seed=5)
    desk.ask(A, "what?", "other", temperature=1.0, seed=6)
    desk.ask(A, "what?", "greedy")
    desk.run()

    assert desk.tokens["again"] == desk.tokens["alone"]
    assert len({tuple(tokens) for tokens in desk.tokens.values()}) == 3


def test_stop_string_ends_an_answer() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.run()
    desk.ask(A, "what?", "whole", temperature=1.0, seed=1)
    desk.run()
    whole = desk.finished("whole").text

    desk.ask(A, "what?", "cut", temperature=1.0, seed=1, stop=(whole[3:5],))
    desk.run()

    assert desk.finished("cut").text == whole.split(whole[3:5])[0]
    assert desk.finished("cut").reason == "stop"
    assert desk.finished("whole").reason == "length"


def test_ids_are_rebased_and_units_dropped_over_a_long_stream() -> None:
    config = EngineConfig(num_pages=60, step_tokens=64, context_tokens=200)
    desk = Desk(build_scheduler(config, max_positions=1600))
    desk.open(A)
    free = []

    for index in range(60):
        desk.scheduler.append(A, build_chunk(index))
        desk.run()
        desk.ask(A, "what?", str(index), max_tokens=2)
        desk.run()
        free.append(desk.scheduler.stats().pages_free)

    assert not desk.chunk_errors
    assert desk.scheduler.held(A)[-1] == 59
    assert len(desk.scheduler.held(A)) == len({*desk.scheduler.held(A)}) < 10
    assert max(free[10:]) - min(free[10:]) <= 4


def test_cancelled_question_says_so_and_frees_its_pages() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.run()
    free = desk.scheduler.stats().pages_free
    desk.ask(A, "what?", max_tokens=50)
    for _ in range(5):
        desk.step()

    desk.take(desk.scheduler.abort("what?"))

    assert desk.finished("what?").reason == "cancelled"
    assert desk.finished("what?").completion_tokens == 5
    assert desk.scheduler.stats().pages_free == free
    assert not desk.scheduler.has_work
    assert desk.scheduler.abort("what?") == []


def test_closing_a_session_ends_all_that_belongs_to_it() -> None:
    desk = Desk()
    desk.open(A, *stream(1))
    desk.open(B, *stream(2))
    desk.run()
    desk.ask(A, "of a", max_tokens=50)
    desk.ask(B, "of b")
    desk.step()
    desk.scheduler.append(A, build_chunk(7))

    desk.take(desk.scheduler.close(A))
    desk.run()

    assert desk.finished("of a").reason == "cancelled"
    assert desk.finished("of b").reason == "length"
    assert isinstance(desk.chunk_errors[A, 7], EngineUnavailable)
    assert desk.scheduler.close(A) == []
    with pytest.raises(SessionNotFound):
        desk.ask(A, "what?")
    desk.take(desk.scheduler.close(B))
    assert desk.scheduler.stats().pages_used == 0
