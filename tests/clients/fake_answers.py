"""The fake service's routes that answer a question, always in the same words."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from service.api import chat_schemas, schemas
from tests.clients.fake_errors import error, missing
from tests.clients.fake_state import FakeService, Feed


def add_query_route(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/sessions/{id_}/query")
    async def query(id_: str, body: schemas.Query) -> Any:
        if id_ not in fake.feeds:
            return missing(id_)
        feed = fake.feeds[id_]
        if not feed.record.chunks:
            return error(409, "no_media_yet", "no media yet", retryable=True)
        answer = _answer(fake, feed, body)
        turn = schemas.TurnItem(
            **answer.model_dump(include={*schemas.TurnItem.model_fields}), asked_at_s=1.0
        )
        feed.turns.append(turn)
        feed.add_event("turn", **turn.model_dump())
        if not body.stream:
            return answer
        return StreamingResponse(_speak(fake, answer), media_type="text/event-stream")


async def _speak(fake: FakeService, answer: schemas.Answer) -> AsyncIterator[str]:
    for word in fake.words:
        if word == "<break>":
            return
        if word == "<fail>":
            body = {"code": "engine_unavailable", "message": "the engine died", "retryable": True}
            yield f"event: error\ndata: {json.dumps({'error': body})}\n\n"
            return
        yield f"event: token\ndata: {json.dumps({'text': word})}\n\n"
        await asyncio.sleep(fake.word_gap_s)
    yield f"event: answer\ndata: {answer.model_dump_json(by_alias=True)}\n\n"


def _answer(fake: FakeService, feed: Feed, body: schemas.Query) -> schemas.Answer:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 3,
        "total_tokens": 93,
        "stream": feed.record.tokens,
    }
    return schemas.Answer(
        id=f"q{len(feed.turns)}",
        session_id=feed.record.id,
        question=body.question,
        answer="".join(fake.words),
        finish_reason="stop",
        context_start_s=max(0.0, feed.record.stream_s - (body.window_s or 1e9)),
        context_end_s=feed.record.stream_s,
        spans=[],
        ttft_s=0.12,
        duration_s=0.2,
        usage=schemas.Usage.model_validate(usage),
    )


def add_chat_route(app: FastAPI, fake: FakeService) -> None:
    @app.post("/v1/chat/completions")
    async def complete(body: chat_schemas.ChatCompletionRequest) -> Any:
        tokens = {"video": {"in": 32, "kept": 15}, "audio": {"in": 0, "kept": 0}}
        usage = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43, "stream": tokens}
        head = {"id": "chatcmpl-0", "created": 1000, "model": "omnisift-tiny"}
        if body.stream:
            told = _complete(fake, head, usage)
            return StreamingResponse(told, media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(fake.words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


async def _complete(
    fake: FakeService, head: dict[str, Any], usage: dict[str, Any]
) -> AsyncIterator[str]:
    for word in fake.words:
        if word == "<break>":
            return
        if word == "<fail>":
            body = {"code": "engine_unavailable", "message": "the engine died", "type": "server"}
            yield f"data: {json.dumps({'error': body})}\n\n"
            return
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
        await asyncio.sleep(fake.word_gap_s)
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps({**head, 'choices': [end]})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"
