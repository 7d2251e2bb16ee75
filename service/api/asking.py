"""Questions on their way to the engine: ids, conversations, the first item before the response."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from service.access.caller import Caller
from service.api import schemas
from service.api.authority import check_visible
from service.api.backend import Backend
from service.api.chat_schemas import ChatCompletionRequest
from service.api.conversation import conversation
from service.api.neutral import check_neutral
from service.errors import AnswerInterrupted, SessionEnded
from service.llm.engine import Finished, Message, Question, Sampling, TokenDelta
from service.sessions.record import Session, SessionId, SessionStatus

Items = AsyncGenerator[TokenDelta | Finished, None]


def new_question_id(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(12)}"


def query_question(question_id: str, query: schemas.Query) -> Question:
    return Question(
        id=question_id,
        messages=(Message("user", query.question),),
        sampling=Sampling(
            max_tokens=query.max_tokens,
            temperature=query.temperature,
            top_p=query.top_p,
            seed=query.seed,
            stop=tuple(query.stop),
        ),
        window_s=query.window_s,
        at_s=query.at_s,
    )


def chat_question(question_id: str, request: ChatCompletionRequest) -> Question:
    """The question of a chat completion.

    Raises:
        BadRequest: The first or last message is not the user's, or a field asks for what is not
            offered.
    """
    check_neutral(request.model_extra or {})
    stop = [request.stop] if isinstance(request.stop, str) else (request.stop or [])
    return Question(
        id=question_id,
        messages=conversation(request.messages),
        sampling=Sampling(
            max_tokens=request.max_completion_tokens or request.max_tokens or 128,
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=request.seed,
            stop=tuple(stop),
        ),
        window_s=request.window_s,
        at_s=request.at_s,
    )


async def open_session(backend: Backend, session_id: str, caller: Caller) -> Session:
    """The session's record, as long as it can be asked; while Redis is away, as it was last read.

    Raises:
        SessionNotFound: There is none, or it is not the caller's to see.
        SessionEnded: It is over.
    """
    record = await backend.store.recall(SessionId(session_id))
    check_visible(caller, record)
    if record.status is SessionStatus.ENDED:
        raise SessionEnded(session_id, reason=record.end_reason)
    return record


@asynccontextmanager
async def counted(backend: Backend, caller: Caller, question: Question) -> AsyncIterator[None]:
    """Count a question against the caller's key for as long as it is held.

    Raises:
        RateLimited: The key has asked too much.
    """
    await backend.quotas.begin_question(caller.key_id, question.id)
    try:
        yield
    finally:
        await backend.quotas.end_question(caller.key_id, question.id)


async def streamed(backend: Backend, record: Session, question: Question) -> Items:
    """Ask; the answer's items, once there is a first: an error before it can set the HTTP status.

    Closing them cancels the question.

    Raises:
        ServiceError: What the engine refuses it for.
    """
    items = backend.llm.ask(record.id, question)
    first = await anext(items)
    return _chain(first, items)


async def whole(backend: Backend, record: Session, question: Question) -> Finished:
    """Ask; the whole answer. Cancelling the wait cancels it; raises as `streamed` does.

    One that was interrupted is asked for once more, since the caller has seen nothing of it.
    """
    try:
        return await _finished(backend.llm.ask(record.id, question))
    except AnswerInterrupted:
        return await _finished(backend.llm.ask(record.id, question))


async def _chain(first: TokenDelta | Finished, rest: Items) -> Items:
    async with aclosing(rest):
        yield first
        async for item in rest:
            yield item


async def _finished(items: Items) -> Finished:
    async with aclosing(items):
        async for item in items:
            if isinstance(item, Finished):
                return item
    raise AssertionError("an answer ended without Finished")
