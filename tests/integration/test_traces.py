"""Traces of a stream and a question reach a collector, through every process of the service."""

import asyncio

import pytest

from clients.sdk import AsyncClient
from clients.sdk.media.synthetic import open_synthetic
from clients.sdk.publish import publish
from tests.eventually import eventually
from tests.otlp import Collector, SentSpan

pytestmark = [pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


async def test_chunks_and_questions_are_traces_through_all_deployments(
    client: AsyncClient, collector: Collector
) -> None:
    session = await client.create_session()

    async def has_chunks() -> bool:
        return (await client.get_session(session.id)).chunks >= 2

    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(stream(client, session.id))
        await eventually(has_chunks)
        await client.ask(session.id, "a secret question?", max_tokens=2)
        publishing.cancel()
    await client.end_session(session.id)

    def traced(name: str) -> list[SentSpan]:
        of_session = [s for s in collector.spans if s.attributes.get("session.id") == session.id]
        return [span for span in of_session if span.name.startswith(name)]

    def are_complete() -> bool:
        names = {
            span.name
            for root in [*traced("chunk")[:1], *traced("chat")]
            for span in collector.trace(root.trace_id)
        }
        return names >= {"Encoder.encode", "Compressor.compress", "LLM.append", "LLM.ask"}

    await eventually(are_complete)  # each process sends every five seconds

    chunk = traced("chunk")[0]
    spans = {span.name: span for span in collector.trace(chunk.trace_id)}
    services = {span.service for span in spans.values()}
    assert services == {
        "omnisift-ingest",
        "omnisift-encoder",
        "omnisift-compressor",
        "omnisift-llm",
    }
    assert spans["Encoder.encode"].parent_id == spans["encode"].span_id
    assert spans["encode"].parent_id == chunk.span_id
    assert chunk.attributes["omnisift.lag_s"] > 0
    assert "omnisift.skew_s" in chunk.attributes
    assert spans["Encoder.encode"].attributes["omnisift.queue_s"] >= 0
    assert chunk.end_s - chunk.start_s >= spans["encode"].end_s - spans["encode"].start_s

    (question,) = traced("chat")
    assert {span.service for span in collector.trace(question.trace_id)} == {
        "omnisift-api",
        "omnisift-llm",
    }
    assert not any("secret" in str(span.attributes) for span in collector.spans)


async def stream(client: AsyncClient, session_id: str) -> None:
    with open_synthetic() as source:
        await publish(client, session_id, source)
