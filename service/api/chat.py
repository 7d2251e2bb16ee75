"""OpenAI-compatible routes: chat completions about a session or a file, the list of models."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.caller import Caller, Scope
from service.api import asking, chat_schemas, sse, views
from service.api.authority import CallerOf, needs
from service.api.backend import Backend, ModelInfo
from service.api.clips import Clips
from service.api.conversation import attachments
from service.api.errors import error_body
from service.api.stream import EventStream
from service.clock import Clock
from service.errors import BadRequest, ModelNotFound, ServiceError
from service.llm.engine import Finished, Question, TokenDelta
from service.sessions.record import Session

FINISH_REASONS = {"stop": "stop", "length": "length", "cancelled": "stop"}


def chat_routes(backend: Backend, clock: Clock, clips: Clips) -> APIRouter:
    router = APIRouter(tags=["openai"])

    @router.post(
        "/v1/chat/completions",
        response_model=chat_schemas.ChatCompletion,
        responses={200: sse.DOCUMENTED},
        openapi_extra=needs(Scope.ASK),
    )
    async def complete(
        body: chat_schemas.ChatCompletionRequest, request: Request, caller: CallerOf
    ) -> Response:
        """Chat about a live session, named by the extra field `session_id`, or about files.

        Files are content parts of the first user message; they are given up when the answer ends.
        """
        question = asking.chat_question(asking.new_question_id("chatcmpl"), body)
        async with AsyncExitStack() as held:
            record = await _subject(backend, clips, caller, body, question, held)
            reply = _Reply(question.id, int(clock()), backend.model, record)
            if body.stream:
                items = await asking.streamed(backend, record, question)
                with_usage = body.stream_options is not None and body.stream_options.include_usage
                events = _chunks(items, reply, request.url.path, with_usage=with_usage)
                return EventStream(events, held.pop_all())
            return JSONResponse(reply.completion(await asking.whole(backend, record, question)))

    @router.get("/v1/models", openapi_extra=needs())
    async def models() -> chat_schemas.ModelList:
        """The one model that answers."""
        return chat_schemas.ModelList(data=[_model(backend.model)])

    @router.get("/v1/models/{model}", openapi_extra=needs())
    async def model(model: str) -> chat_schemas.Model:
        """The model, where it is the one that answers."""
        if model != backend.model.name:
            raise ModelNotFound(model, known=backend.model.name)
        return _model(backend.model)

    return router


async def _subject(
    backend: Backend,
    clips: Clips,
    caller: Caller,
    body: chat_schemas.ChatCompletionRequest,
    question: Question,
    held: AsyncExitStack,
) -> Session:
    """The session that a question is about; what is to be let go of with its answer is held."""
    attached = attachments(body.messages)
    if not attached:
        if body.session_id is None:
            raise BadRequest(
                "name a live session in session_id, or send a file in a content part",
                field="session_id",
            )
        if body.profile is not None:
            raise BadRequest("a live session has its profile already", field="profile")
        record = await asking.open_session(backend, body.session_id, caller)
        await held.enter_async_context(asking.counted(backend, caller, question))
        return record
    if body.session_id is not None:
        raise BadRequest(
            "a question is about a live session or about a file: leave out session_id, or the file",
            field="session_id",
        )
    await held.enter_async_context(asking.counted(backend, caller, question))
    return await held.enter_async_context(clips.session(caller, attached, body.profile))


def _model(model: ModelInfo) -> chat_schemas.Model:
    return chat_schemas.Model(id=model.name, created=model.created_at_s)


class _Reply:
    """One chat completion in OpenAI's shapes."""

    def __init__(self, reply_id: str, created_s: int, model: ModelInfo, record: Session) -> None:
        self._head = {
            "id": reply_id,
            "created": created_s,
            "model": model.name,
        }
        self._record = record

    def completion(self, finished: Finished) -> dict[str, Any]:
        message = {"role": "assistant", "content": finished.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None}
        choice["finish_reason"] = FINISH_REASONS[finished.reason]
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage(finished),
        }

    def delta(
        self, delta: dict[str, str], finish_reason: str | None = None, **more: Any
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **more}

    def usage_chunk(self, finished: Finished) -> dict[str, Any]:
        return {**self.delta({}), "choices": [], "usage": self._usage(finished)}

    def _usage(self, finished: Finished) -> dict[str, Any]:
        return views.wire(views.usage(self._record, finished))


async def _chunks(
    items: asking.Items, reply: _Reply, path: str, *, with_usage: bool
) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(items):
            yield sse.encode(reply.delta({"role": "assistant", "content": ""}))
            async for item in items:
                if isinstance(item, TokenDelta):
                    if item.text:
                        yield sse.encode(reply.delta({"content": item.text}))
                    continue
                yield sse.encode(reply.delta({}, FINISH_REASONS[item.reason]))
                if with_usage:
                    yield sse.encode(reply.usage_chunk(item))
    except ServiceError as error:
        yield sse.encode(error_body(error, path))
    yield sse.encode("[DONE]")
