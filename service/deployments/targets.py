"""What a replica of each deployment should carry, by the settings. Pure."""

from collections.abc import Mapping

from service.scaling.demand import Target
from service.settings import LLMSettings, Settings

ENCODER_WAIT_S = 0.5  # of the oldest chunk: a quarter of the time in which the next one fills


def scaling_targets(settings: Settings) -> Mapping[str, tuple[Target, ...]]:
    """The targets of each deployment that keeps or works on sessions, by its name.

    `sessions` counts live sessions, `busy` is the share of its time that a replica works,
    `waiting_chunks` what it is behind with, `wait_s` for how long, `pages` the share of its KV
    pages in use.
    """
    share = settings.scaling.limit_ratio
    busy = Target("busy", settings.scaling.busy_ratio)
    return {
        "Ingest": (Target("sessions", share * settings.ingest.max_sessions), busy),
        "Encoder": (
            busy,
            Target("waiting_chunks", float(settings.encoder.max_batch_chunks)),
            Target("wait_s", ENCODER_WAIT_S),
        ),
        "Compressor": (Target("sessions", share * settings.compressor.max_sessions), busy),
        "LLM": (Target("sessions", full_contexts(settings.llm)), Target("pages", share), busy),
    }


def full_contexts(llm: LLMSettings) -> float:
    """Sessions that a replica can hold with the whole of their budget; contexts fill in time."""
    for_contexts = llm.num_pages * llm.page_tokens * (1 - llm.question_ratio)
    return max(1.0, for_contexts / llm.context_tokens)


__all__ = ["full_contexts", "scaling_targets"]
