"""The `openai` package, unmodified, against the HTTP side; stages answer at once or as told."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import openai
import pytest

from service.api.app import ApiConfig, create_app
from service.errors import AtCapacity, EngineUnavailable, RateLimited, ServiceError
from service.llm.engine import Finished, Question, TokenDelta
from service.sessions.record import SessionId
from tests.fakes import FakeLLM
from tests.local import LocalBackend, served
from tests.service.api.keys import KEYRING, KEYS

MESSAGES = [{"role": "user", "content": "what is seen?"}]


class MoodyLLM(FakeLLM):
    """Fails once with each of these errors, then answers; one of them after a first token."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[ServiceError] = []
        self.late_failure: ServiceError | None = None
        self.questions: list[Question] = []

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncIterator[TokenDelta | Finished]:
        self.questions.append(question)
        if self.failures:
            raise self.failures.pop(0)
        if self.late_failure is not None:
            yield TokenDelta("a ", 0)
            raise self.late_failure
        async for item in super().ask(session_id, question, steal_from=steal_from):
            yield item


@pytest.fixture
def llm() -> MoodyLLM:
    return MoodyLLM()


@pytest.fixture
async def openai_url(light_backend: LocalBackend, llm: MoodyLLM) -> AsyncIterator[str]:
    backend = replace(light_backend, llm=llm)
    async with served(create_app(backend, ApiConfig(keyring=KEYRING))) as url:
        yield f"{url}/v1"


@pytest.fixture
async def client(openai_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=openai_url, api_key=KEYS["alice"]) as client:
        yield client


@pytest.fixture
async def session_id(client: openai.AsyncOpenAI) -> str:
    created = await client.post("/sessions", cast_to=object)
    assert isinstance(created, dict)
    return str(created["id"])


async def complete(
    client: openai.AsyncOpenAI, session_id: str, **fields: object
) -> openai.types.chat.ChatCompletion:
    return await client.chat.completions.create(
        model="any",
        messages=MESSAGES,
        extra_body={"session_id": session_id},
        **fields,
    )


async def test_completion_is_typed(client: openai.AsyncOpenAI, session_id: str) -> None:
    reply = await complete(client, session_id)

    assert reply.choices[0].message.content == "yes"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (8, 1)
    assert reply.model == "stand-in"


async def test_stream_ends_with_its_usage(client: openai.AsyncOpenAI, session_id: str) -> None:
    stream = await client.chat.completions.create(
        model="any",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"session_id": session_id},
    )
    chunks = [chunk async for chunk in stream]

    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == "yes"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 9


async def test_fields_that_ask_for_nothing_are_taken(
    client: openai.AsyncOpenAI, session_id: str, llm: MoodyLLM
) -> None:
    messages = [{"role": "developer", "content": "Be brief."}, *MESSAGES]

    await client.chat.completions.create(
        model="any",
        messages=messages,
        extra_body={"session_id": session_id},
        n=1,
        presence_penalty=0,
        frequency_penalty=0,
        logprobs=False,
        response_format={"type": "text"},
        user="someone",
        temperature=None,
        top_p=None,
        store=False,
    )

    assert llm.questions[0].messages[0].content == "Be brief.\nwhat is seen?"
    assert llm.questions[0].sampling.temperature == 0


async def test_models_are_listed_and_found(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]

    assert names == ["stand-in"]
    assert (await client.models.retrieve("stand-in")).owned_by == "omnisift"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-7")


async def test_errors_come_as_the_package_names_them(
    client: openai.AsyncOpenAI, session_id: str
) -> None:
    with pytest.raises(openai.AuthenticationError):
        await complete(client.with_options(api_key="wrong"), session_id)
    with pytest.raises(openai.PermissionDeniedError):
        await complete(client.with_options(api_key=KEYS["camera"]), session_id)
    with pytest.raises(openai.NotFoundError) as caught:
        await complete(client.with_options(api_key=KEYS["bob"]), session_id)
    assert caught.value.code == "session_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"max_tokens": 0}, "")],
)
async def test_what_is_not_offered_is_a_bad_request(
    client: openai.AsyncOpenAI, session_id: str, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await complete(client, session_id, **fields)

    assert caught.value.param == (param or "body.max_tokens")


async def test_limit_of_a_key_is_a_rate_limit(
    client: openai.AsyncOpenAI, session_id: str, llm: MoodyLLM
) -> None:
    llm.failures = [RateLimited(what="questions", limit=1, retry_after_s=1.0)]

    with pytest.raises(openai.RateLimitError):
        await complete(client.with_options(max_retries=0), session_id)


async def test_full_service_is_asked_again_when_it_said(
    client: openai.AsyncOpenAI, session_id: str, llm: MoodyLLM
) -> None:
    llm.failures = [AtCapacity(stage="questions", limit=1, retry_after_s=1.0)]
    began_s = time.monotonic()

    reply = await complete(client, session_id)

    assert reply.choices[0].message.content == "yes"
    assert time.monotonic() - began_s >= 1.0
    assert len(llm.questions) == 2


async def test_outage_that_lasts_is_an_internal_server_error(
    client: openai.AsyncOpenAI, session_id: str, llm: MoodyLLM
) -> None:
    llm.failures = [EngineUnavailable("the engine was stopped")]

    with pytest.raises(openai.InternalServerError) as caught:
        await complete(client.with_options(max_retries=0), session_id)

    assert caught.value.status_code == 503


async def test_what_no_repetition_helps_is_not_repeated(
    client: openai.AsyncOpenAI, session_id: str, light_backend: LocalBackend
) -> None:
    await light_backend.ingest.end(SessionId(session_id), "deleted")

    with pytest.raises(openai.ConflictError) as caught:
        await complete(client, session_id)

    assert caught.value.code == "session_ended"
    assert caught.value.request.headers["x-stainless-retry-count"] == "0"


async def test_error_within_a_stream_is_raised(
    client: openai.AsyncOpenAI, session_id: str, llm: MoodyLLM
) -> None:
    llm.late_failure = EngineUnavailable("the engine was stopped")
    stream = await client.chat.completions.create(
        model="any", messages=MESSAGES, stream=True, extra_body={"session_id": session_id}
    )

    with pytest.raises(openai.APIError, match="the engine was stopped"):
        async for _ in stream:
            pass
