"""Traces by OpenTelemetry, and its one home. Without an endpoint a call here does next to nothing.

One trace per chunk and one per question, through every process that works on them: the parent
travels as a W3C `traceparent` in a `Carrier`. Session ids are attributes; media, questions and
answers are not, unless `captures_content` is on.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Item = TypeVar("Item")
Attribute = str | bool | int | float | tuple[str, ...]
Carrier = Mapping[str, str]
"""Where a trace goes on in another process; empty where there is none."""

NS_PER_S = 1_000_000_000
TRACES_PATH = "/v1/traces"  # OTLP/HTTP
EXPORT_TIMEOUT_S = 5.0
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """Where traces go.

    Attributes:
        endpoint: Base URL of an OTLP/HTTP collector; None: there are no traces.
        headers: Sent with them, such as a collector's key.
        sample_ratio: Share of traces that are kept.
        captures_content: Whether questions and answers are in them.
    """

    endpoint: str | None = None
    headers: Mapping[str, str] | None = None
    sample_ratio: float = 1.0
    captures_content: bool = False


class Tracing:
    """Makes the spans of one process. `Tracing()` makes none."""

    def __init__(
        self, config: TracingConfig | None = None, *, deployment: str = "", replica: str = ""
    ) -> None:
        self._config = config or TracingConfig()
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer = trace.NoOpTracer()
        if self._config.endpoint is not None:
            self._provider = _provider(self._config, deployment, replica)
            self._tracer = self._provider.get_tracer("omnisift", version("omnisift-live"))

    @property
    def captures_content(self) -> bool:
        """Whether questions and answers may be attributes."""
        return self._config.captures_content

    def begin(
        self,
        name: str,
        *,
        parent: Span | Carrier | None = None,
        start_s: float | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: Attribute,
    ) -> Span:
        """Start a span; the caller ends it.

        Args:
            name: Low in cardinality: what is done, not to what.
            parent: Whose part it is; None or an empty carrier: it starts a trace.
            start_s: Unix time at which it began, where that is past.
            kind: Its side of a call.
            attributes: Dots are written as two underscores: `gen_ai__request__model`.
        """
        return self._tracer.start_span(
            name,
            context=_context(parent),
            kind=kind,
            start_time=None if start_s is None else int(start_s * NS_PER_S),
            attributes=_named(attributes),
        )

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: Span | Carrier | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: Attribute,
    ) -> Iterator[Span]:
        """A span around a block, current in it; an exception marks it failed."""
        span = self.begin(name, parent=parent, start_s=None, kind=kind, **attributes)
        with trace.use_span(span, end_on_exit=True):
            yield span

    async def around(
        self,
        items: AsyncGenerator[Item, None],
        span: Span,
        on_item: Callable[[Span, Item], object] = lambda span, item: None,
    ) -> AsyncGenerator[Item, None]:
        """The same items; `span` is current while they are made, and ends with them."""
        try:
            async with aclosing(items):
                while True:
                    # never current across a yield: the consumer's context is not ours
                    with trace.use_span(span, end_on_exit=False):
                        try:
                            item = await anext(items)
                        except StopAsyncIteration:
                            return
                    on_item(span, item)
                    yield item
        finally:
            span.end()

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def carrier() -> Carrier:
    """The current span, for another process."""
    found: dict[str, str] = {}
    _PROPAGATOR.inject(found)
    return found


def carrier_of(span: Span) -> Carrier:
    """A span, for another process."""
    found: dict[str, str] = {}
    _PROPAGATOR.inject(found, context=trace.set_span_in_context(span, Context()))
    return found


@contextmanager
def joined(parent: Carrier) -> Iterator[None]:
    """Make another process's span current; spans begun inside with `carrier()` are part of it."""
    context = _PROPAGATOR.extract(parent, context=Context())
    with trace.use_span(trace.get_current_span(context)):
        yield


def note(**attributes: Attribute) -> None:
    """Add to the current span, if there is one."""
    trace.get_current_span().set_attributes(_named(attributes))


def note_on(span: Span, **attributes: Attribute) -> None:
    """Add to a span."""
    span.set_attributes(_named(attributes))


def fail(span: Span, reason: str) -> None:
    """Mark a span failed without an exception."""
    span.set_status(Status(StatusCode.ERROR, reason))


class TraceIds(logging.Filter):
    """Adds `trace_id` and `span_id` of the current span to log records, where there is one."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            record.trace_id = trace.format_trace_id(context.trace_id)
            record.span_id = trace.format_span_id(context.span_id)
        return True


def _provider(config: TracingConfig, deployment: str, replica: str) -> TracerProvider:
    resource = Resource.create(
        {
            "service.name": f"omnisift-{deployment.lower()}" if deployment else "omnisift",
            "service.namespace": "omnisift",
            "service.instance.id": replica,
            "service.version": version("omnisift-live"),
        }
    )
    assert config.endpoint is not None
    exporter = OTLPSpanExporter(
        endpoint=config.endpoint.rstrip("/") + TRACES_PATH,
        headers=dict(config.headers or {}),
        timeout=EXPORT_TIMEOUT_S,
    )
    sampler = ParentBased(TraceIdRatioBased(config.sample_ratio))
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=True)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _context(parent: Span | Carrier | None) -> Context:
    if isinstance(parent, Span):
        return trace.set_span_in_context(parent, Context())
    return _PROPAGATOR.extract(parent or {}, context=Context())


def _named(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    return {name.replace("__", "."): value for name, value in attributes.items()}


__all__ = [
    "Carrier",
    "Span",
    "SpanKind",
    "TraceIds",
    "Tracing",
    "TracingConfig",
    "carrier",
    "carrier_of",
    "fail",
    "joined",
    "note",
    "note_on",
]
