"""A trace per question, in the terms of OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (status: development).
"""

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict

from service.llm.engine import Finished, Question, TokenDelta
from service.llm.unit import Unit
from service.sessions.record import ChunkRecord, SessionId
from service.stages import LLMStage
from service.tracing import Span, SpanKind, Tracing, carrier, note_on

PROVIDER = "omnisift"


class TracedLLM:
    """The same `LLMStage`, with a span around each answer; part of the caller's trace, if any."""

    def __init__(self, stage: LLMStage, tracing: Tracing, model: str) -> None:
        self._stage = stage
        self._tracing = tracing
        self._model = model

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        await self._stage.append(session_id, record, steal_from=steal_from)

    def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        sampling = question.sampling
        span = self._tracing.begin(
            f"chat {self._model}",
            parent=carrier(),
            kind=SpanKind.CLIENT,
            gen_ai__operation__name="chat",
            gen_ai__provider__name=PROVIDER,
            gen_ai__request__model=self._model,
            gen_ai__request__max_tokens=sampling.max_tokens,
            gen_ai__request__temperature=sampling.temperature,
            gen_ai__request__top_p=sampling.top_p,
            gen_ai__request__stop_sequences=tuple(sampling.stop),
            gen_ai__conversation__id=session_id,
            session__id=session_id,
            omnisift__question__id=question.id,
        )
        if self._tracing.captures_content:
            messages = json.dumps([asdict(message) for message in question.messages])
            note_on(span, gen_ai__input__messages=messages)
        items = self._stage.ask(session_id, question, steal_from=steal_from)
        return self._tracing.around(items, span, self._note)

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        return await self._stage.units(session_id, steal_from=steal_from)

    async def close(self, session_id: SessionId) -> None:
        await self._stage.close(session_id)

    def _note(self, span: Span, item: TokenDelta | Finished) -> None:
        if not isinstance(item, Finished):
            return
        note_on(
            span,
            gen_ai__response__model=self._model,
            gen_ai__response__finish_reasons=(item.reason,),
            gen_ai__usage__input_tokens=item.prompt_tokens,
            gen_ai__usage__output_tokens=item.completion_tokens,
            omnisift__context__start_s=item.context_start_s,
            omnisift__context__end_s=item.context_end_s,
        )
        if item.ttft_s is not None:
            note_on(span, omnisift__ttft_s=item.ttft_s)
        if self._tracing.captures_content:
            answer = {"role": "assistant", "content": item.text}
            note_on(span, gen_ai__output__messages=json.dumps([answer]))


__all__ = ["TracedLLM"]
