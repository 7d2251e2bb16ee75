from collections.abc import AsyncIterator

import pytest

from service.api import asking
from service.api.schemas import ChatCompletionRequest, ChatMessage, Query
from service.errors import AnswerInterrupted, BadRequest, NoMediaYet
from service.llm.engine import Finished, Message, Question, TokenDelta
from service.sessions.record import SessionId
from tests.fakes import FakeLLM

QUESTION = Question("q", (Message("user", "what?"),))
END = Finished("hi", "stop", 10, 2, 0.0, 4.0, 0.1, 0.2)


def messages(*pairs: tuple[str, str]) -> list[ChatMessage]:
    return [ChatMessage.model_validate({"role": role, "content": text}) for role, text in pairs]


async def items(*values: TokenDelta | Finished) -> AsyncIterator[TokenDelta | Finished]:
    for value in values:
        yield value


async def failing() -> AsyncIterator[TokenDelta | Finished]:
    raise NoMediaYet("s1")
    yield END


def test_query_becomes_one_user_message() -> None:
    question = asking.query_question("q1", Query(question="what?", max_tokens=5, seed=3))

    assert question.messages == (Message("user", "what?"),)
    assert (question.sampling.max_tokens, question.sampling.seed) == (5, 3)


def test_system_message_precedes_the_first_user_text() -> None:
    turns = asking.conversation(
        messages(("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"))
    )

    assert turns == (
        Message("user", "Be brief.\na"),
        Message("assistant", "b"),
        Message("user", "c"),
    )


def test_text_parts_are_joined() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    message = ChatMessage.model_validate({"role": "user", "content": content})

    assert asking.conversation([message]) == (Message("user", "a\nb"),)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (messages(("user", "a"), ("assistant", "b")), "last message"),
        (messages(("assistant", "b"), ("user", "a")), "first message"),
        (messages(("system", "s")), "last message"),
    ],
)
def test_conversation_out_of_order_is_refused(wrong: list[ChatMessage], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        asking.conversation(wrong)


def test_media_parts_are_refused_by_name() -> None:
    message = ChatMessage.model_validate(
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    )

    with pytest.raises(BadRequest, match="image_url"):
        asking.conversation([message])


def test_chat_limits_come_from_either_name() -> None:
    base = {"session_id": "s", "messages": [{"role": "user", "content": "x"}]}
    old = ChatCompletionRequest.model_validate({**base, "max_tokens": 7, "stop": "."})
    new = ChatCompletionRequest.model_validate({**base, "max_completion_tokens": 9})

    assert asking.chat_question("q", old).sampling.max_tokens == 7
    assert asking.chat_question("q", old).sampling.stop == (".",)
    assert asking.chat_question("q", new).sampling.max_tokens == 9


async def test_started_passes_everything_on() -> None:
    delta = TokenDelta("hi", 5)

    assert [item async for item in await asking.started(items(delta, END))] == [delta, END]


async def test_started_raises_what_the_first_item_raises() -> None:
    with pytest.raises(NoMediaYet):
        await asking.started(failing())


class Interrupted(FakeLLM):
    """An LLM whose answers break off so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times_left = times

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> asking.Items:
        yield TokenDelta("hi", 5)
        if self.times_left:
            self.times_left -= 1
            raise AnswerInterrupted
        yield END


async def test_whole_is_the_end_of_an_answer_even_if_it_was_interrupted_once() -> None:
    for times in (0, 1):
        assert await asking.whole(Interrupted(times), SessionId("s"), QUESTION) == END


async def test_whole_asks_no_third_time() -> None:
    llm = Interrupted(3)

    with pytest.raises(AnswerInterrupted):
        await asking.whole(llm, SessionId("s"), QUESTION)

    assert llm.times_left == 1
