"""From a WebRTC publisher to an answer, through every deployment."""

import asyncio
import json
import os
from contextlib import aclosing

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from prometheus_client.parser import text_string_to_metric_families

from chaos.replicas import pids
from clients.sdk import Answer, AsyncClient, errors
from clients.sdk.events import ChunkEvent, TurnEvent
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from tests.eventually import eventually

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


async def test_two_live_sessions_are_answered_and_never_mix(client: AsyncClient) -> None:
    sessions = [await client.create_session(profile=p) for p in ("paper-25", "full")]
    ids = [session.id for session in sessions]

    async with asyncio.TaskGroup() as group:
        for session_id in ids:
            group.create_task(stream(client, session_id, duration_s=9.0))
        answers = [group.create_task(ask_when_live(client, session_id)) for session_id in ids]
    records = [await client.get_session(session_id) for session_id in ids]

    for answer, session_id in zip(answers, ids, strict=True):
        assert answer.result().session_id == session_id
        assert answer.result().ttft_s is not None
    pruned, full = records
    assert pruned.chunks >= 3
    assert full.chunks >= 3
    assert 0.2 < pruned.tokens.video.kept / pruned.tokens.video.in_ <= 0.25
    assert full.keep_ratio == 1.0
    for session_id in ids:
        turns = await client.turns(session_id)
        assert [turn.question for turn in turns] == [f"what is in {session_id}?"]


async def test_events_tell_chunks_and_turns_in_order(client: AsyncClient) -> None:
    session = await client.create_session()
    async with asyncio.TaskGroup() as group:
        group.create_task(stream(client, session.id, duration_s=6.0))
        group.create_task(ask_when_live(client, session.id))
    await client.end_session(session.id)

    async with aclosing(client.events(session.id)) as feed:
        events = [event async for event in feed]

    chunks = [event for event in events if isinstance(event, ChunkEvent)]
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert all(set(chunk.stages_s) == {"encode", "compress", "prefill"} for chunk in chunks)
    assert all(len(grid) <= 64 // 4 for chunk in chunks for grid in chunk.kept.video)
    assert sum(isinstance(event, TurnEvent) for event in events) == 1
    assert events[-1].type == "session.ended"


async def test_chat_completion_streams_in_openai_shape(
    client: AsyncClient, service_url: str
) -> None:
    session = await client.create_session()
    body = {
        "model": "any",
        "session_id": session.id,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "what is seen?"},
        ],
        "max_tokens": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(stream(client, session.id, duration_s=30.0))
        await client.wait_until_live(session.id)
        async with httpx.AsyncClient(base_url=service_url) as http:
            response = await http.post("/v1/chat/completions", json=body)
            plain = await http.post("/v1/chat/completions", json={**body, "stream": False})
        publishing.cancel()

    lines = [line for line in response.text.split("\n") if line]
    assert lines[-1] == "data: [DONE]"
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert parts[-2]["choices"][0]["finish_reason"] in ("stop", "length")
    assert parts[-1]["usage"]["completion_tokens"] <= 4
    text = "".join(p["choices"][0]["delta"].get("content", "") for p in parts if p["choices"])
    assert isinstance(plain.json()["choices"][0]["message"]["content"], str)
    assert plain.json()["usage"]["stream"]["video"]["in"] > 0
    assert len(text.encode()) <= 4 * 8


async def test_question_before_the_first_chunk_says_when_to_come_back(client: AsyncClient) -> None:
    session = await client.create_session()

    with pytest.raises(errors.Conflict) as caught:
        await client.ask(session.id, "anything?")

    assert caught.value.code == "no_media_yet"


async def test_publisher_without_media_ends_its_session(
    client: AsyncClient, service_url: str
) -> None:
    session = await client.create_session()
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with httpx.AsyncClient(base_url=service_url) as http:
        offer = peer.localDescription.sdp
        response = await http.post(session.links["whip"], content=offer, headers=headers)
    assert response.status_code == 201

    await eventually(lambda: has_ended(client, session.id))

    assert (await client.get_session(session.id)).end_reason == "no_media"
    await peer.close()


async def test_metrics_of_all_replicas_are_in_one_scrape(
    client: AsyncClient, service_url: str
) -> None:
    async with httpx.AsyncClient(base_url=service_url) as http:
        text = (await http.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    replicas = {
        (sample.labels["deployment"], sample.labels["replica"])
        for sample in families["omnisift_build_info"].samples
    }
    names = sorted(deployment for deployment, _ in replicas)
    assert names == ["Api", "Compressor", "Compressor", "Encoder", "Ingest", "LLM", "LLM"]
    assert value(families, "omnisift_tokens", modality="video", stage="in") > 0
    assert value(families, "omnisift_kv_pages", state="free") > 0


def test_replicas_are_worth_as_much_to_the_machine_as_what_started_them(service_url: str) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)

    for pid in (*pids("LLM").values(), *pids("Ingest").values()):
        assert os.getpriority(os.PRIO_PROCESS, pid) == own


async def test_service_is_ready_and_describes_itself(service_url: str) -> None:
    async with httpx.AsyncClient(base_url=service_url) as http:
        ready = await http.get("/readyz?new_sessions=true")
        described = await http.get("/openapi.json")
        models = await http.get("/v1/models")

    assert ready.status_code == 200, ready.text
    assert "/v1/sessions/{session_id}/whip" in described.json()["paths"]
    assert models.json()["data"][0]["object"] == "model"


async def stream(client: AsyncClient, session_id: str, *, duration_s: float) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source, duration_s=duration_s)


async def ask_when_live(client: AsyncClient, session_id: str) -> Answer:
    await client.wait_until_live(session_id)
    return await client.ask(session_id, f"what is in {session_id}?", max_tokens=8)


async def has_ended(client: AsyncClient, session_id: str) -> bool:
    return (await client.get_session(session_id)).has_ended


def value(families: dict[str, object], name: str, **labels: str) -> float:
    samples = families[name].samples  # type: ignore[attr-defined]  # prometheus_client's Metric
    return sum(s.value for s in samples if labels.items() <= s.labels.items())
