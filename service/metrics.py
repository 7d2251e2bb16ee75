"""The one table of metrics. Knows nothing about who scrapes it; each process owns one `Metrics`."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

# seconds; 2 s is the chunk period, the lag to stay under
STAGE_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAG_BUCKETS_S = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SKEW_BUCKETS_S = (-0.5, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
ANSWER_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Every metric of the service in one registry; labels are bounded, never a session id."""

    def __init__(self) -> None:
        # `*_created` series would come back from the parser as families of their own
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here
        self.registry = CollectorRegistry()
        # process_open_fds, process_resident_memory_bytes, process_cpu_seconds_total
        ProcessCollector(registry=self.registry)
        self._add_sessions(self.registry)
        self._add_ingest(self.registry)
        self._add_stages(self.registry)
        self._add_questions(self.registry)
        self._add_rules(self.registry)
        self._add_engine(self.registry)

    @property
    def collectors(self) -> Sequence[MetricWrapperBase]:
        """All metrics, in the order of their definition."""
        return [item for item in vars(self).values() if isinstance(item, MetricWrapperBase)]

    @property
    def busy_s(self) -> float:
        """Seconds that models of this process have worked."""
        return sum(
            sample.value
            for family in self.busy_seconds_total.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus text format."""
        return generate_latest(self.registry)

    def _add_sessions(self, registry: CollectorRegistry) -> None:
        self.build_info = Gauge(
            "omnisift_build_info", "Always 1.", ["version", "model", "profile"], registry=registry
        )
        self.tasks = Gauge(
            "omnisift_tasks", "Tasks on the replica's event loop.", registry=registry
        )
        self.sessions_active = Gauge(
            "omnisift_sessions_active", "Sessions held by the stage.", ["stage"], registry=registry
        )
        self.sessions_refused_total = Counter(
            "omnisift_sessions_refused_total",
            "New sessions refused, by the limit that was reached, or draining.",
            ["reason"],
            registry=registry,
        )
        self.rebuilds_total = Counter(
            "omnisift_rebuilds_total",
            "Sessions rebuilt from the log by a replica that took them over.",
            ["stage"],
            registry=registry,
        )

    def _add_ingest(self, registry: CollectorRegistry) -> None:
        self.ingest_frames_total = Counter(
            "omnisift_ingest_frames_total",
            "Media frames received; result is used, skipped (not sampled), late, undecodable, "
            "oversized or, of unknown modality, unreadable (a packet that was left out).",
            ["modality", "result"],
            registry=registry,
        )
        self.ingest_lag_seconds = Histogram(
            "omnisift_ingest_lag_seconds",
            "Glass to context: end of a chunk's media to its tokens in the KV cache.",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )
        self.av_skew_seconds = Histogram(
            "omnisift_av_skew_seconds",
            "How much later audio arrives than video of the same instant.",
            buckets=SKEW_BUCKETS_S,
            registry=registry,
        )
        self.source_states_total = Counter(
            "omnisift_source_states_total",
            "Media sources by the states that they came into: connecting, live, reconnecting, "
            "ended or failed.",
            ["state"],
            registry=registry,
        )
        self.recordings_active = Gauge(
            "omnisift_recordings_active",
            "Recordings of sessions in the works: record (being made) or replay.",
            ["direction"],
            registry=registry,
        )
        self.recording_bytes_total = Counter(
            "omnisift_recording_bytes_total",
            "Bytes of recordings as they are made, fetched or not.",
            registry=registry,
        )
        self.chunks_total = Counter(
            "omnisift_chunks_total", "Chunks in context.", registry=registry
        )
        self.chunks_dropped_total = Counter(
            "omnisift_chunks_dropped_total",
            "Chunks, or their video, that did not reach the context, by reason.",
            ["reason"],
            registry=registry,
        )
        self.gaps_total = Counter(
            "omnisift_gaps_total", "Stretches of missing media.", ["modality"], registry=registry
        )

    def _add_stages(self, registry: CollectorRegistry) -> None:
        self.stage_duration_seconds = Histogram(
            "omnisift_stage_duration_seconds",
            "Time of one chunk in a stage: encode, compress (with the log) or prefill.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self.busy_seconds_total = Counter(
            "omnisift_busy_seconds_total",
            "Time that the stage's model worked: encode, compress or llm; its rate is how busy a "
            "replica is.",
            ["stage"],
            registry=registry,
        )
        self.encoder_batch_chunks = Histogram(
            "omnisift_encoder_batch_chunks",
            "Chunks encoded in one batch, of any sessions.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self.tokens_total = Counter(
            "omnisift_tokens_total",
            "Stream tokens before (in) and after (kept) compression.",
            ["modality", "stage"],
            registry=registry,
        )
        self.keep_ratio = Histogram(
            "omnisift_keep_ratio",
            "Kept / total tokens of a chunk.",
            ["modality"],
            buckets=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 1.0),
            registry=registry,
        )

    def _add_questions(self, registry: CollectorRegistry) -> None:
        self.query_ttft_seconds = Histogram(
            "omnisift_query_ttft_seconds",
            "Arrival of a question to its first token.",
            buckets=ANSWER_BUCKETS_S,
            registry=registry,
        )
        self.query_duration_seconds = Histogram(
            "omnisift_query_duration_seconds",
            "Arrival of a question to its last token.",
            buckets=ANSWER_BUCKETS_S,
            registry=registry,
        )
        self.queries_total = Counter(
            "omnisift_queries_total",
            "Questions by how they ended: stop, length, cancelled or error.",
            ["outcome"],
            registry=registry,
        )
        self.generated_tokens_total = Counter(
            "omnisift_generated_tokens_total", "Tokens of answers.", registry=registry
        )

    def _add_rules(self, registry: CollectorRegistry) -> None:
        self.rule_evaluations_total = Counter(
            "omnisift_rule_evaluations_total",
            "Times that a watch rule was asked about: matched (it fired), silent, error or late (it"
            " was removed, or judged elsewhere, meanwhile).",
            ["outcome"],
            registry=registry,
        )
        self.rule_tokens_total = Counter(
            "omnisift_rule_tokens_total",
            "Tokens that asking about watch rules put through the LLM.",
            registry=registry,
        )
        self.rule_seconds = Histogram(
            "omnisift_rule_seconds",
            "Time from asking about a watch rule to its probability.",
            buckets=ANSWER_BUCKETS_S,
            registry=registry,
        )
        self.webhooks_total = Counter(
            "omnisift_webhooks_total",
            "Webhooks: delivered, failed (given up), refused (by the allow-list) or dropped (the "
            "queue was full).",
            ["outcome"],
            registry=registry,
        )

    def _add_engine(self, registry: CollectorRegistry) -> None:
        self.kv_pages = Gauge(
            "omnisift_kv_pages",
            "Pages of the KV cache by state: used and free add up to the total.",
            ["state"],
            registry=registry,
        )
        self.context_tokens = Gauge(
            "omnisift_context_tokens",
            "Stream tokens held in contexts, all sessions.",
            ["modality"],
            registry=registry,
        )
        self.context_seconds = Gauge(
            "omnisift_context_seconds",
            "Seconds of stream of which tokens are held in contexts, all sessions.",
            registry=registry,
        )
        self.context_units_total = Counter(
            "omnisift_context_units_total",
            "Units that lost tokens in context; change is demoted (some) or dropped (all), cause "
            "is budget (by the policy) or pages (for want of them).",
            ["change", "cause"],
            registry=registry,
        )
        self.context_tokens_lost_total = Counter(
            "omnisift_context_tokens_lost_total",
            "Tokens that such units lost.",
            ["change", "cause", "modality"],
            registry=registry,
        )
        self.engine_steps_total = Counter(
            "omnisift_engine_steps_total", "Forward passes of the LLM engine.", registry=registry
        )
        self.engine_step_seconds = Histogram(
            "omnisift_engine_step_seconds",
            "Time of one forward pass of the LLM engine.",
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self.engine_questions = Gauge(
            "omnisift_engine_questions",
            "Questions in the LLM engine by state: running, or waiting for pages.",
            ["state"],
            registry=registry,
        )
        self.engine_tokens_total = Counter(
            "omnisift_engine_tokens_total",
            "Tokens put through the LLM by kind: decode, chunk (headers too) or question.",
            ["kind"],
            registry=registry,
        )


class _Families:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def merge_expositions(parts: Iterable[tuple[str, str, bytes]]) -> bytes:
    """Merge the expositions of many processes into one.

    Args:
        parts: (deployment, replica, exposition) of each process.

    Returns:
        One exposition; every sample carries the labels `deployment` and `replica`, so that a
        counter of one process never hides another's.
    """
    families: dict[str, Metric] = {}
    for deployment, replica, exposition in parts:
        for family in text_string_to_metric_families(exposition.decode()):
            merged = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                labels = {**sample.labels, "deployment": deployment, "replica": replica}
                merged.samples.append(sample._replace(labels=labels))
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)
