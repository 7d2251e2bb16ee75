import logging
from collections.abc import AsyncGenerator, Iterator

import pytest

from service.tracing import (
    Span,
    TraceIds,
    Tracing,
    TracingConfig,
    carrier,
    carrier_of,
    fail,
    joined,
    note,
)
from tests.otlp import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def tracing_to(collector: Collector, deployment: str = "Ingest") -> Tracing:
    config = TracingConfig(collector.url, headers={"x-key": "secret"})
    return Tracing(config, deployment=deployment, replica="r1")


def test_without_an_endpoint_nothing_is_made() -> None:
    tracing = Tracing()
    with tracing.span("work") as span:
        assert not span.is_recording()
        assert carrier() == {}
    tracing.close()


def test_spans_reach_the_collector_with_their_process_and_attributes(collector: Collector) -> None:
    tracing = tracing_to(collector)
    span = tracing.begin("chunk", start_s=1000.5, session__id="s1")
    with tracing.span("encode", parent=span):
        note(omnisift__queue_s=0.25)
    span.end()
    tracing.close()

    (chunk,), (encode,) = collector.named("chunk"), collector.named("encode")
    assert chunk.service == "omnisift-ingest"
    assert chunk.start_s == 1000.5
    assert chunk.attributes == {"session.id": "s1"}
    assert encode.parent_id == chunk.span_id
    assert encode.attributes == {"omnisift.queue_s": 0.25}
    assert collector.headers[0]["x-key"] == "secret"


def test_a_trace_goes_on_in_another_process(collector: Collector) -> None:
    here, there = tracing_to(collector, "Ingest"), tracing_to(collector, "Encoder")
    with here.span("call"):
        sent = carrier()
    with there.span("serve", parent=sent):
        pass
    here.close()
    there.close()

    (call,), (serve,) = collector.named("call"), collector.named("serve")
    assert serve.trace_id == call.trace_id
    assert serve.parent_id == call.span_id
    assert (call.service, serve.service) == ("omnisift-ingest", "omnisift-encoder")


def test_a_clients_trace_is_joined(collector: Collector) -> None:
    tracing = tracing_to(collector)
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with joined({"traceparent": f"00-{trace_id}-{span_id}-01"}):
        tracing.begin("chat", parent=carrier()).end()
    tracing.close()

    (chat,) = collector.named("chat")
    assert (chat.trace_id, chat.parent_id) == (trace_id, span_id)


@pytest.mark.parametrize("header", ["", "00-xx", "garbage", "ff-0-0-0"])
def test_a_header_that_is_none_starts_a_trace(collector: Collector, header: str) -> None:
    tracing = tracing_to(collector)
    with joined({"traceparent": header}):
        tracing.begin("chat", parent=carrier()).end()
    tracing.close()

    assert collector.named("chat")[0].parent_id == ""


def test_failures_are_marked(collector: Collector) -> None:
    tracing = tracing_to(collector)
    with pytest.raises(ValueError, match="bad"), tracing.span("work"):
        raise ValueError("bad")
    span = tracing.begin("given up")
    fail(span, "encode")
    span.end()
    tracing.close()

    assert [span.is_failed for span in collector.spans] == [True, True]


async def test_a_span_around_items_is_current_while_they_are_made(collector: Collector) -> None:
    tracing = tracing_to(collector)
    span = tracing.begin("answer")
    inside = []

    async def items() -> AsyncGenerator[int, None]:
        for number in range(3):
            inside.append(carrier())
            yield number

    seen = []
    async for number in tracing.around(items(), span, lambda s, n: seen.append((s, n))):
        assert carrier() == {}  # the consumer is not part of it
        seen.append(number)
    tracing.close()

    assert inside == [carrier_of(span)] * 3
    assert seen == [(span, 0), 0, (span, 1), 1, (span, 2), 2]
    assert [sent.name for sent in collector.spans] == ["answer"]


async def test_a_span_ends_with_a_consumer_that_leaves(collector: Collector) -> None:
    tracing = tracing_to(collector)
    span: Span = tracing.begin("answer")

    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    around = tracing.around(items(), span)
    assert await anext(around) == 1
    await around.aclose()
    tracing.close()

    assert len(collector.named("answer")) == 1


def test_log_records_carry_the_ids_of_their_span(collector: Collector) -> None:
    tracing = tracing_to(collector)
    record = logging.LogRecord("service", logging.INFO, "", 0, "text", (), None)
    TraceIds().filter(record)
    assert not hasattr(record, "trace_id")
    with tracing.span("work") as span:
        TraceIds().filter(record)
        assert record.trace_id == f"{span.get_span_context().trace_id:032x}"
    tracing.close()


def test_none_are_sent_where_none_are_sampled(collector: Collector) -> None:
    tracing = Tracing(TracingConfig(collector.url, sample_ratio=0.0))
    with tracing.span("work"):
        pass
    tracing.close()
    assert collector.spans == []
