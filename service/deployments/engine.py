"""The LLM engine's limits, by the settings. Knows nothing about Ray."""

from service.llm.config import EngineConfig
from service.llm.policy import build_policy
from service.settings import Settings


def engine_config(settings: Settings) -> EngineConfig:
    """What an LLM replica's engine is made with."""
    limits = settings.llm
    return EngineConfig(
        num_pages=limits.num_pages,
        page_tokens=limits.page_tokens,
        step_tokens=limits.step_tokens,
        context_tokens=limits.context_tokens,
        total_tokens=limits.total_tokens,
        max_questions=limits.max_questions,
        question_ratio=limits.question_ratio,
        reserve_ratio=limits.reserve_ratio,
        policy=build_policy(
            limits.policy,
            num_sinks=limits.num_sinks,
            video_ratio=limits.video_ratio,
            keep_ratios=limits.video_keep_ratios,
        ),
        notes_gaps=limits.notes_gaps,
        attention=limits.attention,
        cuda_graphs=limits.cuda_graphs,
        int8_weights=limits.int8_weights,
    )
