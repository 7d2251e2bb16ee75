"""Ray Serve's view of `service.scaling`: replicas follow what live streams ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from service.deployments.targets import scaling_targets
from service.scaling.demand import Target, demand
from service.scaling.policy import History, ScalingConfig, decide
from service.settings import Replicas, Settings

METRICS_INTERVAL_S = 2.0
LOOK_BACK_S = 4.0
FULL_STREAMS_PER_API = 200.0  # requests under way, event streams among them


class LiveAutoscaling:
    """A policy of Ray Serve. It is made anew for each deployment, in Serve's controller."""

    def __init__(
        self,
        targets: Sequence[tuple[str, float]],
        startup_s: float,
        trend_s: float,
        hold_s: float,
    ) -> None:
        self._targets = [Target(signal, per_replica) for signal, per_replica in targets]
        self._config = ScalingConfig(startup_s, trend_s, hold_s)

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """Return the number of replicas wanted, and what to be given back next time."""
        history = History.from_state(context.policy_state)
        reports: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
        if not reports:
            return context.target_num_replicas, history.state  # nobody has reported yet
        asked = demand(reports, self._targets)
        replicas, history = decide(
            history,
            asked.replicas,
            context.current_time or 0.0,
            context.target_num_replicas,
            self._config,
        )
        return replicas, history.state


def autoscaling(name: str, part: Replicas, settings: Settings) -> AutoscalingConfig | None:
    """The autoscaling of a deployment; None where its number of replicas is fixed."""
    if part.max_replicas is None:
        return None
    bounds: dict[str, Any] = {"min_replicas": part.replicas, "max_replicas": part.max_replicas}
    targets = scaling_targets(settings).get(name)
    if targets is None:
        return AutoscalingConfig(**bounds, target_ongoing_requests=FULL_STREAMS_PER_API)
    scaling = settings.scaling
    kwargs = {
        "targets": [[target.signal, target.per_replica] for target in targets],
        "startup_s": scaling.startup_s,
        "trend_s": scaling.trend_s,
        "hold_s": scaling.hold_s,
    }
    # by keywords in a dict, since the model's own signature hides them from the type checker
    policy = AutoscalingPolicy.model_validate(
        {"policy_function": LiveAutoscaling, "policy_kwargs": kwargs}
    )
    return AutoscalingConfig(
        **bounds,
        policy=policy,
        # the policy does its own waiting
        upscale_delay_s=0.0,
        downscale_delay_s=0.0,
        metrics_interval_s=METRICS_INTERVAL_S,
        look_back_period_s=LOOK_BACK_S,
    )


__all__ = ["LiveAutoscaling", "autoscaling"]
