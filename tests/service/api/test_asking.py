from dataclasses import replace

import pytest

from service.access.caller import Caller, Scope
from service.access.limits import KeyLimits
from service.api import asking
from service.api.chat_schemas import ChatCompletionRequest
from service.api.schemas import Query
from service.errors import AnswerInterrupted, NoMediaYet, RateLimited
from service.llm.engine import Finished, Message, Question, TokenDelta
from service.sessions.record import Session, SessionConfig, SessionId, SessionStatus
from tests.fakes import FakeLLM
from tests.local import LocalBackend

ALICE = Caller("alice", frozenset({Scope.ASK}))
RECORD = Session(SessionId("s"), SessionConfig("live"), SessionStatus.LIVE, 0.0)
DELTA = TokenDelta("hi", 5)
QUESTION = Question("q", (Message("user", "what?"),))
END = Finished("hi", "stop", 10, 2, 0.0, 4.0, 0.1, 0.2)


def test_query_becomes_one_user_message() -> None:
    question = asking.query_question("q1", Query(question="what?", max_tokens=5, seed=3))

    assert question.messages == (Message("user", "what?"),)
    assert (question.sampling.max_tokens, question.sampling.seed) == (5, 3)


def test_chat_limits_come_from_either_name() -> None:
    base = {"session_id": "s", "messages": [{"role": "user", "content": "x"}]}
    old = ChatCompletionRequest.model_validate({**base, "max_tokens": 7, "stop": "."})
    new = ChatCompletionRequest.model_validate({**base, "max_completion_tokens": 9})

    assert asking.chat_question("q", old).sampling.max_tokens == 7
    assert asking.chat_question("q", old).sampling.stop == (".",)
    assert asking.chat_question("q", new).sampling.max_tokens == 9


class Scripted(FakeLLM):
    """An LLM that breaks off so many times, or refuses."""

    def __init__(self, *, breaks: int = 0, refuses: bool = False) -> None:
        super().__init__()
        self.breaks = breaks
        self.refuses = refuses

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> asking.Items:
        if self.refuses:
            raise NoMediaYet(session_id)
        yield DELTA
        if self.breaks:
            self.breaks -= 1
            raise AnswerInterrupted
        yield END


async def streamed(backend: LocalBackend, llm: FakeLLM) -> asking.Items:
    return await asking.streamed(replace(backend, llm=llm), RECORD, QUESTION)


async def num_running(backend: LocalBackend) -> int:
    """Questions of the key that count as being answered, found by how many more may begin."""
    for number in range(KeyLimits().max_questions + 1):
        try:
            await backend.quotas.begin_question(ALICE.key_id, f"probe{number}")
        except RateLimited:
            return KeyLimits().max_questions - number
    raise AssertionError("no limit")


async def test_question_counts_while_it_is_held(light_backend: LocalBackend) -> None:
    async with asking.counted(light_backend, ALICE, QUESTION):
        assert await num_running(light_backend) == 1

    await light_backend.quotas.begin_question(ALICE.key_id, "there is room again")


async def test_streamed_passes_everything_on(light_backend: LocalBackend) -> None:
    assert [item async for item in await streamed(light_backend, Scripted())] == [DELTA, END]


async def test_streamed_raises_what_comes_before_the_first_item(
    light_backend: LocalBackend,
) -> None:
    with pytest.raises(NoMediaYet):
        await streamed(light_backend, Scripted(refuses=True))


async def test_whole_is_the_end_of_an_answer_even_if_it_was_interrupted_once(
    light_backend: LocalBackend,
) -> None:
    for times in (0, 1):
        backend = replace(light_backend, llm=Scripted(breaks=times))
        assert await asking.whole(backend, RECORD, QUESTION) == END


async def test_whole_asks_no_third_time(light_backend: LocalBackend) -> None:
    llm = Scripted(breaks=3)

    with pytest.raises(AnswerInterrupted):
        await asking.whole(replace(light_backend, llm=llm), RECORD, QUESTION)

    assert llm.breaks == 1
