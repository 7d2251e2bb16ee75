from collections.abc import AsyncGenerator

import pytest

from service.errors import EngineUnavailable
from service.llm.engine import Finished, Message, Question, Sampling, TokenDelta
from service.sessions.record import ChunkRecord, SessionId
from service.traced import TracedLLM
from service.tracing import Tracing, TracingConfig
from tests.otlp import collecting

SESSION = SessionId("s1")
QUESTION = Question("q1", (Message("user", "what was red?"),), Sampling(max_tokens=9))
END = Finished("a ball", "stop", 120, 2, 0.0, 8.0, 0.05, 0.1)


class Answering:
    """An LLM stage that gives one token and its end, or fails in between."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None: ...

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncGenerator[TokenDelta | Finished, None]:
        yield TokenDelta("a ball", 7)
        if self.fails:
            raise EngineUnavailable("gone")
        yield END

    async def close(self, session_id: SessionId) -> None: ...


@pytest.mark.parametrize("captures_content", [False, True])
async def test_an_answer_is_a_span_in_terms_of_generative_ai(captures_content: bool) -> None:
    with collecting() as collector:
        tracing = Tracing(TracingConfig(collector.url, captures_content=captures_content))
        llm = TracedLLM(Answering(), tracing, "tiny")
        items = [item async for item in llm.ask(SESSION, QUESTION)]
        tracing.close()

    assert items[-1] == END
    (span,) = collector.named("chat tiny")
    found = span.attributes
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.request.max_tokens"] == 9
    assert found["gen_ai.conversation.id"] == "s1"
    assert found["gen_ai.usage.input_tokens"] == 120
    assert found["gen_ai.usage.output_tokens"] == 2
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert found["omnisift.ttft_s"] == 0.05
    assert ("red" in str(found)) == captures_content
    assert ("ball" in str(found)) == captures_content


async def test_an_answer_that_breaks_off_is_marked_failed() -> None:
    with collecting() as collector:
        tracing = Tracing(TracingConfig(collector.url))
        llm = TracedLLM(Answering(fails=True), tracing, "tiny")
        with pytest.raises(EngineUnavailable):
            async for _ in llm.ask(SESSION, QUESTION):
                pass
        tracing.close()

    assert collector.named("chat tiny")[0].is_failed
