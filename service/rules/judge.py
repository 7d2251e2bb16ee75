"""When a watch rule is asked about and when it fires. Pure: time comes as an argument.

A rule fires when its probability reaches the threshold, and can fire again only after it has fallen
`HYSTERESIS` below: what goes on is told once. Within `cooldown_s` of a firing it stays silent, and
what begins meanwhile is not told later.
"""

from dataclasses import replace

from service.sessions.record import Rule, RuleState

HYSTERESIS = 0.1


def is_due(rule: Rule, state: RuleState, now_s: float) -> bool:
    """Whether to ask about the rule now."""
    return state.asked_at_s is None or now_s - state.asked_at_s >= rule.min_interval_s


def judge(rule: Rule, state: RuleState, probability: float, now_s: float) -> tuple[RuleState, bool]:
    """Decide whether a rule that was asked about now fires.

    Returns:
        What to remember, and whether it fires.
    """
    state = replace(state, asked_at_s=now_s)
    if probability < rule.threshold:
        is_low = probability < max(rule.threshold - HYSTERESIS, rule.threshold / 2)
        return replace(state, is_armed=state.is_armed or is_low), False
    if not state.is_armed:
        return state, False
    is_cool = state.fired_at_s is None or now_s - state.fired_at_s >= rule.cooldown_s
    fired_at_s = now_s if is_cool else state.fired_at_s
    return replace(state, is_armed=False, fired_at_s=fired_at_s), is_cool


__all__ = ["HYSTERESIS", "is_due", "judge"]
