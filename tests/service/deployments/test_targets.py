from service.deployments.targets import full_contexts, scaling_targets
from service.scaling.demand import Target
from service.settings import (
    CompressorSettings,
    IngestSettings,
    LLMSettings,
    ScalingSettings,
    Settings,
)


def test_targets_leave_room_below_the_limits() -> None:
    settings = Settings(
        ingest=IngestSettings(max_sessions=20),
        compressor=CompressorSettings(max_sessions=100),
        scaling=ScalingSettings(limit_ratio=0.5, busy_ratio=0.4),
    )
    targets = scaling_targets(settings)
    assert targets["Ingest"] == (Target("sessions", 10.0), Target("busy", 0.4))
    assert targets["Compressor"] == (Target("sessions", 50.0), Target("busy", 0.4))
    assert Target("wait_s", 0.5) in targets["Encoder"]
    assert Target("pages", 0.5) in targets["LLM"]


def test_an_llm_replica_carries_as_many_sessions_as_it_can_hold_in_full() -> None:
    llm = LLMSettings(num_pages=1024, page_tokens=16, context_tokens=1024, question_ratio=0.25)
    assert full_contexts(llm) == 12.0


def test_a_replica_too_small_for_one_context_carries_one() -> None:
    assert full_contexts(LLMSettings(num_pages=16, context_tokens=8192)) == 1.0
