"""The plain question route: `POST /v1/sessions/{id}/query`, as JSON or server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.access.caller import Scope
from service.api import asking, schemas, sse, views
from service.api.authority import CallerOf, needs
from service.api.backend import Backend
from service.api.errors import error_body
from service.api.stream import EventStream
from service.errors import ServiceError
from service.llm.engine import Finished
from service.sessions.record import Session


def question_routes(backend: Backend) -> APIRouter:
    router = APIRouter(tags=["questions"])

    @router.post(
        "/v1/sessions/{session_id}/query",
        response_model=schemas.Answer,
        responses={200: sse.DOCUMENTED},
        openapi_extra=needs(Scope.ASK),
    )
    async def query(
        session_id: str, body: schemas.Query, request: Request, caller: CallerOf
    ) -> Response:
        """Ask about the stream so far: all complete chunks when the question arrives.

        With `stream`, `token` events carry text and one `answer` event ends it; an error after the
        first token comes as an `error` event. Before the first chunk: 409 `no_media_yet`.
        """
        record = await asking.open_session(backend, session_id, caller)
        question = asking.query_question(asking.new_question_id("ans"), body)
        async with AsyncExitStack() as held:
            await held.enter_async_context(asking.counted(backend, caller, question))
            if body.stream:
                items = await asking.streamed(backend, record, question)
                events = _events(items, question.id, record, body.question, request.url.path)
                return EventStream(events, held.pop_all())
            finished = await asking.whole(backend, record, question)
            answer = views.answer(question.id, record, body.question, finished)
            return JSONResponse(views.wire(answer))

    return router


async def _events(
    items: asking.Items,
    question_id: str,
    record: Session,
    question: str,
    path: str,
) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Finished):
                    answer = views.answer(question_id, record, question, item)
                    yield sse.encode(views.wire(answer), event="answer")
                elif item.text:
                    yield sse.encode({"text": item.text}, event="token")
    except ServiceError as error:
        yield sse.encode(error_body(error, path), event="error")
