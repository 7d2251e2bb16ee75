"""Grafana dashboards from short descriptions. Pure: panels in, Grafana's JSON model out.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 24, 8, 8
SCHEMA_VERSION = 39


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph.

    Attributes:
        title: What it shows, in a few words.
        queries: PromQL by legend; Grafana fills in labels, `{{stage}}`.
        unit: Grafana's name: `s`, `percentunit`, `short`, `ops`, `bytes`, `Bps`.
        text: What to make of it.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    text: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels, three in a row."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def quantiles(metric: str, by: str = "") -> dict[str, str]:
    """Median and 95th percentile of a histogram, by label if one is named."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{percent}{legend}": (
            f"histogram_quantile(0.{percent}, sum by ({labels}) (rate({metric}_bucket[1m])))"
        )
        for percent in (50, 95)
    }


def rate(metric: str, by: str) -> dict[str, str]:
    """Increase per second, by label."""
    return {f"{{{{{by}}}}}": f"sum by ({by}) (rate({metric}[1m]))"}


HELD_S = "sum(omnisift_context_seconds)"
LLM_SESSIONS = 'sum(omnisift_sessions_active{stage="llm"})'

OVERVIEW = Dashboard(
    "overview",
    "OmniSIFT Live / Overview",
    (
        Panel(
            "Tokens saved",
            {
                "{{modality}}": (
                    '1 - sum by (modality) (rate(omnisift_tokens_total{stage="kept"}[5m]))'
                    ' / sum by (modality) (rate(omnisift_tokens_total{stage="in"}[5m]))'
                )
            },
            "percentunit",
            "Share of tokens that never reached the LLM.",
        ),
        Panel(
            "Lag, glass to context",
            quantiles("omnisift_ingest_lag_seconds"),
            "s",
            "Above 2 s a chunk is late: the next one is complete already.",
        ),
        Panel("Time to first token", quantiles("omnisift_query_ttft_seconds"), "s"),
        Panel(
            "Context held, seconds per session",
            {"of all sessions": f"{HELD_S} / {LLM_SESSIONS}"},
            "s",
            "Stream that an answer can be given from, on average.",
        ),
        Panel(
            "Context held, tokens",
            {"{{modality}}": "sum by (modality) (omnisift_context_tokens)"},
            "short",
            "Stream tokens in the KV caches of all sessions.",
        ),
        Panel(
            "Sessions per replica",
            {"{{deployment}} {{replica}}": "omnisift_sessions_active"},
        ),
        Panel("Chunks given up", rate("omnisift_chunks_dropped_total", "reason"), "ops"),
        Panel("Questions by outcome", rate("omnisift_queries_total", "outcome"), "ops"),
        Panel(
            "Replicas",
            {"{{deployment}}": "count by (deployment) (omnisift_build_info)"},
        ),
        Panel(
            "Sessions rebuilt",
            rate("omnisift_rebuilds_total", "stage"),
            "ops",
            "A replica took sessions over from one that died or went.",
        ),
        Panel(
            "New sessions refused",
            rate("omnisift_sessions_refused_total", "reason"),
            "ops",
            "The limit that was reached; autoscaling makes room, or the plan has too little.",
        ),
    ),
)

STAGES = Dashboard(
    "stages",
    "OmniSIFT Live / Stages",
    (
        Panel("Time in a stage", quantiles("omnisift_stage_duration_seconds", "stage"), "s"),
        Panel(
            "Busy",
            {
                "{{deployment}} {{replica}}": (
                    "sum by (deployment, replica) (rate(omnisift_busy_seconds_total[1m]))"
                )
            },
            "percentunit",
            "Share of its time that a replica's model works; scaling keeps it near 0.6.",
        ),
        Panel("Chunks encoded together", quantiles("omnisift_encoder_batch_chunks")),
        Panel("Tokens in and kept", rate("omnisift_tokens_total", "stage"), "ops"),
        Panel("Keep ratio of a chunk", quantiles("omnisift_keep_ratio", "modality"), "percentunit"),
        Panel("Chunks in context", {"chunks": "sum(rate(omnisift_chunks_total[1m]))"}, "ops"),
        Panel(
            "Tasks of a replica",
            {"{{deployment}} {{replica}}": "omnisift_tasks"},
            "short",
            "Follows the number of sessions; one that only grows is a leak.",
        ),
    ),
)

ENGINE = Dashboard(
    "engine",
    "OmniSIFT Live / LLM engine",
    (
        Panel("KV pages", {"{{replica}} {{state}}": "omnisift_kv_pages"}),
        Panel("Questions", {"{{state}}": "sum by (state) (omnisift_engine_questions)"}),
        Panel("Tokens through the LLM", rate("omnisift_engine_tokens_total", "kind"), "ops"),
        Panel("Forward pass", quantiles("omnisift_engine_step_seconds"), "s"),
        Panel(
            "Forward passes",
            {"{{replica}}": "sum by (replica) (rate(omnisift_engine_steps_total[1m]))"},
            "ops",
        ),
        Panel(
            "Tokens of answers",
            {"tokens": "sum(rate(omnisift_generated_tokens_total[1m]))"},
            "ops",
        ),
        Panel("Whole answers", quantiles("omnisift_query_duration_seconds"), "s"),
        Panel(
            "Units that faded or went",
            {
                "{{change}} for {{cause}}": (
                    "sum by (change, cause) (rate(omnisift_context_units_total[1m]))"
                )
            },
            "ops",
            "For budget: the policy at work. For pages: replicas hold too many sessions.",
        ),
        Panel(
            "Tokens lost from contexts",
            {
                "{{modality}} for {{cause}}": (
                    "sum by (modality, cause) (rate(omnisift_context_tokens_lost_total[1m]))"
                )
            },
            "ops",
        ),
    ),
)

INGEST = Dashboard(
    "ingest",
    "OmniSIFT Live / Ingest",
    (
        Panel("Frames", rate("omnisift_ingest_frames_total", "result"), "ops"),
        Panel("Fetched sources", rate("omnisift_source_states_total", "state"), "ops"),
        Panel("Recordings", {"{{direction}}": "sum by (direction) (omnisift_recordings_active)"}),
        Panel("Recorded", {"made": "sum(rate(omnisift_recording_bytes_total[1m]))"}, "Bps"),
        Panel("Missing media", rate("omnisift_gaps_total", "modality"), "ops"),
        Panel("Sound after picture", quantiles("omnisift_av_skew_seconds"), "s"),
        Panel(
            "Sessions",
            {"{{replica}}": 'omnisift_sessions_active{stage="ingest"}'},
        ),
        Panel("Lag", quantiles("omnisift_ingest_lag_seconds"), "s"),
        Panel("Chunks given up", rate("omnisift_chunks_dropped_total", "reason"), "ops"),
    ),
)

RULES = Dashboard(
    "rules",
    "OmniSIFT Live / Watch rules",
    (
        Panel(
            "Asked",
            rate("omnisift_rule_evaluations_total", "outcome"),
            "ops",
            "matched: a rule fired; error: the engine did not answer; late: removed meanwhile.",
        ),
        Panel("Time to a probability", quantiles("omnisift_rule_seconds"), "s"),
        Panel(
            "Share of the engine's tokens",
            {
                "rules": (
                    "sum(rate(omnisift_rule_tokens_total[1m]))"
                    " / sum(rate(omnisift_engine_tokens_total[1m]))"
                )
            },
            "percentunit",
            "What watching costs; the rest is streams and questions.",
        ),
        Panel(
            "Tokens of rules",
            {"{{replica}}": "sum by (replica) (rate(omnisift_rule_tokens_total[1m]))"},
            "ops",
        ),
        Panel(
            "Webhooks",
            rate("omnisift_webhooks_total", "outcome"),
            "ops",
            "failed: the receiver did not take it in all attempts; dropped: the queue was full.",
        ),
    ),
)

REDIS = Dashboard(
    "redis",
    "OmniSIFT Live / Redis",
    (
        Panel("Up", {"redis": "redis_up"}),
        Panel(
            "Memory",
            {"used": "redis_memory_used_bytes", "limit": "redis_memory_max_bytes"},
            "bytes",
            "A full Redis refuses writes: chunks wait, then go.",
        ),
        Panel("Commands", {"commands": "rate(redis_commands_processed_total[1m])"}, "ops"),
        Panel("Clients", {"clients": "redis_connected_clients"}),
        Panel("Last write to disk", {"ok": "redis_aof_last_write_status"}),
        Panel(
            "Written",
            {"in": "rate(redis_net_input_bytes_total[1m])"},
            "bytes",
        ),
    ),
)

AUTOSCALING = Dashboard(
    "autoscaling",
    "OmniSIFT Live / Autoscaling",
    (
        Panel("Replicas", {"{{deployment}}": "count by (deployment) (omnisift_build_info)"}),
        Panel("Sessions", {"{{stage}}": "sum by (stage) (omnisift_sessions_active)"}),
        Panel(
            "Busy, all replicas",
            {
                "{{deployment}}": (
                    "sum by (deployment) (rate(omnisift_busy_seconds_total[1m]))"
                    " / count by (deployment) (omnisift_build_info)"
                )
            },
            "percentunit",
        ),
        Panel(
            "Pages in use",
            {
                "{{replica}}": (
                    'sum by (replica) (omnisift_kv_pages{state="used"})'
                    " / sum by (replica) (omnisift_kv_pages)"
                )
            },
            "percentunit",
        ),
        Panel("Lag", quantiles("omnisift_ingest_lag_seconds"), "s"),
        Panel("Sessions rebuilt", rate("omnisift_rebuilds_total", "stage"), "ops"),
    ),
)

DASHBOARDS: Mapping[str, Dashboard] = MappingProxyType(
    {board.name: board for board in (OVERVIEW, STAGES, ENGINE, INGEST, RULES, REDIS, AUTOSCALING)}
)


def to_json(board: Dashboard) -> str:
    """Grafana's JSON model, as a file."""
    model = {
        "uid": f"omnisift-{board.name}",
        "title": board.title,
        "tags": ["omnisift"],
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "panels": [_panel(number, panel) for number, panel in enumerate(board.panels)],
    }
    return json.dumps(model, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    per_row = COLUMNS // PANEL_WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": DATASOURCE,
        "gridPos": {
            "x": number % per_row * PANEL_WIDTH,
            "y": number // per_row * PANEL_HEIGHT,
            "w": PANEL_WIDTH,
            "h": PANEL_HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


__all__ = ["DASHBOARDS", "Dashboard", "Panel", "to_json"]
