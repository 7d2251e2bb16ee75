"""OpenAI-compatible routes: chat completions on a live session, and the list of models."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.caller import Scope
from service.api import asking, schemas, sse, views
from service.api.authority import CallerOf, needs
from service.api.backend import Backend, ModelInfo
from service.api.errors import error_body
from service.api.stream import EventStream
from service.clock import Clock
from service.errors import ModelNotFound, ServiceError
from service.llm.engine import Finished, TokenDelta
from service.sessions.record import Session

FINISH_REASONS = {"stop": "stop", "length": "length", "cancelled": "stop"}


def chat_routes(backend: Backend, clock: Clock) -> APIRouter:
    router = APIRouter(tags=["openai"])

    @router.post(
        "/v1/chat/completions",
        response_model=schemas.ChatCompletion,
        responses={200: sse.DOCUMENTED},
        openapi_extra=needs(Scope.ASK),
    )
    async def complete(
        body: schemas.ChatCompletionRequest, request: Request, caller: CallerOf
    ) -> Response:
        """Chat about a live session, named by the extra field `session_id`."""
        record = await asking.open_session(backend, body.session_id, caller)
        question = asking.chat_question(asking.new_question_id("chatcmpl"), body)
        reply = _Reply(question.id, int(clock()), backend.model, record)
        if body.stream:
            items = await asking.streamed(backend, caller, record, question)
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            events = _chunks(items, reply, request.url.path, with_usage=with_usage)
            return EventStream(events)
        return JSONResponse(reply.completion(await asking.whole(backend, caller, record, question)))

    @router.get("/v1/models", openapi_extra=needs())
    async def models() -> schemas.ModelList:
        """The one model that answers."""
        return schemas.ModelList(data=[_model(backend.model)])

    @router.get("/v1/models/{model}", openapi_extra=needs())
    async def model(model: str) -> schemas.Model:
        """The model, where it is the one that answers."""
        if model != backend.model.name:
            raise ModelNotFound(model, known=backend.model.name)
        return _model(backend.model)

    return router


def _model(model: ModelInfo) -> schemas.Model:
    return schemas.Model(id=model.name, created=model.created_at_s)


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
