"""Questions about files, through real stages and HTTP, by the unmodified `openai` package."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
import redis

from service.access.limits import KeyLimits
from service.api.app import ApiConfig, create_app
from service.api.clips import ClipsConfig
from service.egress import AllowList
from service.ingest.clip import ClipConfig, ClipFile
from service.ingest.config import IngestConfig
from service.ingest.container import ContainerLimits
from service.ingest.source_policy import SourcePolicy
from service.llm.worker import LLMWorker
from service.sessions.quotas import RedisQuotas
from service.sessions.record import SessionId
from tests.clips import write_clip
from tests.eventually import eventually
from tests.fakes import FakeEncoder, FakeLLM
from tests.local import FullBackend, LocalBackend, fake_backend, local_backend, served
from tests.service.api.keys import KEYRING, KEYS
from tests.stills import make_bomb, make_still
from tests.web import send, web_server

QUESTION = {"type": "text", "text": "what is seen?"}


def video(content: bytes) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": data_url("video/mp4", content)}}


def image(content: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url("image/png", content)}}


def sound(content: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"type": "input_audio", "input_audio": {"data": encoded, "format": "m4a"}}


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("clips") / "a.mp4", duration_s=4.0).read_bytes()


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clips") / "a.m4a"
    return write_clip(path, duration_s=4.0, video=False).read_bytes()


@pytest.fixture
def admin(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def backend(redis_url: str, checkpoint: Path) -> AsyncIterator[LocalBackend]:
    config = ClipConfig(
        limits=ContainerLimits(max_duration_s=10.0, refuses_longer=True),
        policy=SourcePolicy(AllowList.parse(["127.0.0.1"])),
    )
    ingest = IngestConfig(clip=config)
    async with local_backend(redis_url, checkpoint, ingest_config=ingest) as made:
        yield made


@pytest.fixture
async def client(backend: LocalBackend) -> AsyncIterator[openai.AsyncOpenAI]:
    async with asking(backend) as client:
        yield client


@asynccontextmanager
async def asking(
    backend: LocalBackend, config: ApiConfig | None = None
) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client of the service, by alice's key; it repeats nothing by itself."""
    app = create_app(backend, config or ApiConfig(keyring=KEYRING))
    async with (
        served(app) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEYS["alice"], max_retries=0) as client,
    ):
        yield client


async def ask(client: openai.AsyncOpenAI, *parts: dict[str, Any], **fields: Any) -> Any:
    messages = [{"role": "user", "content": [*parts]}]
    fields = {"max_tokens": 4, "messages": messages, **fields}
    return await client.chat.completions.create(model="any", **fields)  # type: ignore[call-overload]  # parts beyond OpenAI's


def stream_tokens(reply: Any) -> dict[str, Any]:
    return reply.usage.model_extra["stream"]


async def assert_nothing_is_left(backend: LocalBackend, admin: redis.Redis) -> None:
    assert isinstance(backend.llm, LLMWorker | FakeLLM)
    if isinstance(backend.llm, LLMWorker):
        assert backend.llm.num_sessions == 0
    assert backend.ingest.num_sessions == 0
    # the rate of questions is all that is remembered; what was open is given back last
    rate = "omnisift:{key:alice}:recent"
    await eventually(lambda: {key.decode() for key in admin.keys("*")} <= {rate})


async def test_video_is_answered_and_nothing_of_it_stays(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, clip: bytes
) -> None:
    reply = await ask(client, QUESTION, video(clip), extra_body={"profile": "paper-25"})

    assert reply.choices[0].finish_reason in ("stop", "length")
    assert reply.usage.completion_tokens <= 4
    tokens = stream_tokens(reply)
    # four seconds: two grids of 2 x 2 tokens in each of two chunks, 25 tokens of sound a second
    assert (tokens["video"]["in"], tokens["audio"]["in"]) == (16, 100)
    assert 0 < tokens["video"]["kept"] < 16
    assert tokens["audio"]["kept"] == 50
    assert reply.usage.prompt_tokens > tokens["video"]["kept"] + tokens["audio"]["kept"]
    await assert_nothing_is_left(backend, admin)


async def test_audio_and_image_are_answered(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, noise: bytes
) -> None:
    heard = stream_tokens(await ask(client, sound(noise), QUESTION))
    seen = stream_tokens(await ask(client, image(make_still((200, 10, 10))), QUESTION))

    assert (heard["video"]["in"], heard["audio"]["in"]) == (0, 100)
    # a picture of 112 x 112 is shown for a chunk: two grids of 4 x 4 tokens
    assert (seen["video"]["in"], seen["audio"]["in"]) == (32, 0)
    await assert_nothing_is_left(backend, admin)


async def test_several_files_are_one_stream(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, clip: bytes, noise: bytes
) -> None:
    still = image(make_still((200, 10, 10)))

    reply = await ask(client, still, QUESTION, video(clip), sound(noise))

    # an image has two grids of 4 x 4 tokens, the clip 16 tokens and 100 of sound, the noise 100
    tokens = stream_tokens(reply)
    assert (tokens["video"]["in"], tokens["audio"]["in"]) == (32 + 16, 200)
    with pytest.raises(openai.UnprocessableEntityError, match=r"file 3 of 3: .* longer than 2 s"):
        await ask(client, *[video(clip)] * 3, QUESTION)
    await assert_nothing_is_left(backend, admin)


async def test_answer_is_that_of_a_session_with_the_same_media(
    client: openai.AsyncOpenAI, backend: LocalBackend, clip: bytes
) -> None:
    created = await client.post("/sessions", cast_to=object)
    assert isinstance(created, dict)
    await backend.ingest.digest(SessionId(created["id"]), [ClipFile(clip, "video")])

    live = await ask(client, QUESTION, extra_body={"session_id": created["id"]})
    about_file = await ask(client, video(clip), QUESTION)

    assert live.choices == about_file.choices
    assert live.usage == about_file.usage


async def test_file_is_fetched_from_where_that_is_allowed(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, clip: bytes
) -> None:
    with web_server(lambda handler: send(handler, clip)) as url:
        there = {"type": "video_url", "video_url": {"url": f"{url}/a.mp4"}}
        fetched = await ask(client, there, QUESTION)

    assert fetched.usage == (await ask(client, video(clip), QUESTION)).usage
    await assert_nothing_is_left(backend, admin)


async def test_conversation_goes_on_about_the_file(client: openai.AsyncOpenAI, clip: bytes) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [video(clip), QUESTION]},
        {"role": "assistant", "content": "a wall"},
        {"role": "user", "content": "which colour?"},
    ]

    short = await ask(client, video(clip), QUESTION)
    long = await ask(client, messages=messages)

    assert stream_tokens(long) == stream_tokens(short)
    assert long.usage.prompt_tokens > short.usage.prompt_tokens


async def test_answer_streams(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, clip: bytes
) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    whole = await ask(client, video(clip), QUESTION)

    chunks = [chunk async for chunk in await ask(client, video(clip), QUESTION, **options)]

    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    await eventually(lambda: not admin.keys("omnisift:{s_*"))
    await assert_nothing_is_left(backend, admin)


async def test_client_that_leaves_takes_its_file_along(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, clip: bytes
) -> None:
    stream = await ask(client, video(clip), QUESTION, stream=True, max_tokens=4000)
    await anext(stream)
    assert admin.keys("omnisift:{s_*")
    await stream.close()

    await eventually(lambda: not admin.keys("omnisift:{s_*"))
    await assert_nothing_is_left(backend, admin)


REFUSALS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], int, str]] = {
    "a session and a file": ([image(b"x")], {"session_id": "s"}, 400, "leave out session_id"),
    "neither": ([QUESTION], {}, 400, "name a live session in session_id"),
    "a profile of a live session": (
        [QUESTION],
        {"session_id": "s", "profile": "live"},
        400,
        "prof",
    ),
    "too many files": ([image(b"x")] * 17, {}, 400, "this one has 17"),
    "a bad one of two": ([image(make_still((1, 2, 3))), image(b"x")], {}, 422, "file 2 of 2: "),
    "a URL": (
        [{"type": "image_url", "image_url": {"url": "http://127.0.0.2/x.png"}}],
        {},
        400,
        "OMNISIFT_SOURCES__HOSTS",
    ),
    "a stream": (
        [{"type": "video_url", "video_url": {"url": "rtsp://127.0.0.1/x"}}],
        {},
        400,
        "must be http or https",
    ),
    "an unknown part": ([{"type": "file", "file": {}}], {}, 400, "'video_url'"),
    "no media": ([video(b"not media")], {}, 422, "in no format that is read"),
    "another kind": ([video(make_still((1, 2, 3)))], {}, 422, "in no format that is read"),
    "a bomb": ([image(make_bomb(5000, 5000))], {}, 422, "nothing in it could be decoded"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_is_not_taken_is_refused_in_words(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, name: str
) -> None:
    parts, extra, status, says = REFUSALS[name]

    with pytest.raises(openai.APIStatusError, match=says) as caught:
        await ask(client, *parts, extra_body=extra)

    assert caught.value.status_code == status
    await assert_nothing_is_left(backend, admin)


async def test_long_file_is_refused(
    client: openai.AsyncOpenAI, backend: LocalBackend, admin: redis.Redis, tmp_path: Path
) -> None:
    long = write_clip(tmp_path / "a.mp4", duration_s=11.0, fps=2, audio=False).read_bytes()

    with pytest.raises(openai.UnprocessableEntityError, match="longer than 10 s"):
        await ask(client, video(long), QUESTION)

    await assert_nothing_is_left(backend, admin)


async def test_file_needs_a_key_that_may_publish_and_ask(client: openai.AsyncOpenAI) -> None:
    for key_id in ("viewer", "camera"):
        with pytest.raises(openai.PermissionDeniedError):
            await ask(client.with_options(api_key=KEYS[key_id]), image(b"x"), QUESTION)


async def test_token_of_a_session_makes_no_other(client: openai.AsyncOpenAI) -> None:
    session = await client.post("/sessions", cast_to=object)
    assert isinstance(session, dict)
    body = {"scopes": ["publish", "ask"]}
    made = await client.post(f"/sessions/{session['id']}/tokens", body=body, cast_to=object)
    assert isinstance(made, dict)

    with pytest.raises(openai.PermissionDeniedError, match="cannot create sessions"):
        await ask(
            client.with_options(api_key=made["token"]), image(make_still((1, 2, 3))), QUESTION
        )


async def test_file_counts_as_a_session_and_a_question_of_its_key(
    redis_url: str, backend: LocalBackend
) -> None:
    still = image(make_still((1, 2, 3)))
    limits = KeyLimits(max_sessions=1, questions_per_minute=3, max_questions=1)
    quotas = RedisQuotas.connect(redis_url, limits, session_s=60.0)
    async with aclosing(quotas), asking(replace(backend, quotas=quotas)) as client:
        for _ in range(2):  # the place of the first is free again
            await ask(client, still, QUESTION)
        session = await client.post("/sessions", cast_to=object)
        with pytest.raises(openai.RateLimitError, match="1 open sessions"):
            await ask(client, still, QUESTION)
        with pytest.raises(openai.RateLimitError, match="3 questions a minute"):
            await ask(client, still, QUESTION)
        assert isinstance(session, dict)


async def test_full_service_tells_when_to_come_back(
    light_backend: LocalBackend, admin: redis.Redis
) -> None:
    async with asking(FullBackend.of(light_backend)) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await ask(client, image(make_still((1, 2, 3))), QUESTION)

    assert caught.value.status_code == 503
    assert caught.value.response.headers["Retry-After"] == "5"
    await assert_nothing_is_left(light_backend, admin)


async def test_file_of_which_a_part_was_lost_is_not_answered(
    redis_url: str, admin: redis.Redis, clip: bytes
) -> None:
    encoder = FakeEncoder()
    encoder.script.failures[1] = [RuntimeError("lost")]
    async with fake_backend(redis_url, encoder=encoder) as backend, asking(backend) as client:
        with pytest.raises(openai.InternalServerError, match="part of the video was lost"):
            await ask(client, video(clip), QUESTION)
        await assert_nothing_is_left(backend, admin)


async def test_file_that_takes_too_long_is_given_up(
    redis_url: str, admin: redis.Redis, clip: bytes
) -> None:
    encoder = FakeEncoder()
    encoder.script.gates[0] = asyncio.Event()
    config = ApiConfig(keyring=KEYRING, clips=ClipsConfig(wait_s=0.3))
    async with (
        fake_backend(redis_url, encoder=encoder) as backend,
        asking(backend, config) as client,
    ):
        with pytest.raises(openai.InternalServerError, match="clip took longer") as caught:
            await ask(client, video(clip), QUESTION)
        await assert_nothing_is_left(backend, admin)

    assert caught.value.status_code == 504
