from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve.config import AutoscalingContext

from service.app import build_app
from service.deployments.autoscaling import LiveAutoscaling, autoscaling
from service.settings import ApiSettings, IngestSettings, LLMSettings, Settings

TARGETS = [("sessions", 10.0), ("busy", 0.5)]


def context(
    reports: dict[str, dict[str, float]], now_s: float, *, target: int, state: dict[str, Any]
) -> AutoscalingContext:
    return AutoscalingContext(
        deployment_id=None,
        deployment_name="Ingest",
        app_name="omnisift",
        current_num_replicas=target,
        target_num_replicas=target,
        running_replicas=[],
        total_num_requests=0,
        total_queued_requests=0,
        aggregated_metrics=reports,
        raw_metrics=None,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=9,
        policy_state=state,
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=now_s,
        config=None,
    )


def test_replicas_follow_what_is_reported_and_go_after_the_hold() -> None:
    policy = LiveAutoscaling(TARGETS, startup_s=0.0, trend_s=5.0, hold_s=20.0)
    crowd = {"sessions": {"a": 25.0}, "busy": {"a": 0.2}}
    replicas, state = policy(context(crowd, 0.0, target=1, state={}))
    assert replicas == 3

    alone = {"sessions": {"a": 5.0, "b": 0.0, "c": 0.0}}
    replicas, state = policy(context(alone, 10.0, target=3, state=state))
    assert replicas == 3
    replicas, state = policy(context(alone, 40.0, target=3, state=state))
    assert replicas == 1


def test_nothing_changes_while_nobody_reports() -> None:
    policy = LiveAutoscaling(TARGETS, startup_s=0.0, trend_s=5.0, hold_s=20.0)
    assert policy(context({}, 0.0, target=4, state={}))[0] == 4


def test_a_deployment_with_bounds_scales_and_one_without_does_not() -> None:
    settings = Settings(
        redis_url="redis://127.0.0.1:1/0",
        llm=LLMSettings(replicas=2, max_replicas=5),
        api=ApiSettings(max_replicas=3),
    )
    handles = build_app(settings)._bound_deployment.init_kwargs
    scaling = handles["LLM"]._bound_deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)
    assert handles["Ingest"]._bound_deployment._deployment_config.autoscaling_config is None
    assert handles["Ingest"]._bound_deployment.num_replicas == 1


def test_policy_knows_the_targets_of_its_deployment() -> None:
    settings = Settings(ingest=IngestSettings(max_sessions=8, max_replicas=4))
    config = autoscaling("Ingest", settings.ingest, settings)
    assert config is not None
    assert config.policy.policy_kwargs["targets"] == [["sessions", 6.0], ["busy", 0.6]]


def test_fewer_at_most_than_at_least_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"max_replicas \(1\) is below replicas \(2\)"):
        LLMSettings(replicas=2, max_replicas=1)
