"""Whether the service takes another session now. Pure; knows nothing about what runs the replicas.

A session needs an ingest replica, an encoder and an LLM replica with room for it. Where all
replicas of a kind are at a limit, one more session would be at the cost of those that there are: it
is refused instead. Replicas that said nothing lately are given the benefit of the doubt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Report = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """Up to where sessions are taken.

    Attributes:
        ingest_sessions: Sessions of an ingest replica.
        ingest_busy: CPU cores that an ingest replica uses.
        encoder_busy: Share of its time that an encoder works.
        waiting_chunks: Chunks that wait at an encoder.
        llm_busy: Share of its time that an LLM replica works.
        room_tokens: Context tokens that must be free on an LLM replica, sessions that give way
            counted as free.
    """

    ingest_sessions: int = 16
    ingest_busy: float = 0.9
    encoder_busy: float = 0.9
    waiting_chunks: int = 16
    llm_busy: float = 0.9
    room_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that may be short.

    Attributes:
        name: Of the limit, as refusals and metrics tell it.
        deployment: Whose replicas report it.
        signal: What they call it.
        value: Where it lies.
        is_least: Whether more is better, as of what is free.
    """

    name: str
    deployment: str
    signal: str
    value: float
    is_least: bool = False

    def is_met(self, report: Report) -> bool:
        """Whether a replica that reports this takes another session, as far as this goes."""
        found = report.get(self.signal)
        if found is None:
            return True
        return found >= self.value if self.is_least else found < self.value


def limits(config: AdmissionConfig) -> tuple[Limit, ...]:
    """The limits of a configuration, the first one short is told."""
    return (
        Limit("ingest_sessions", "Ingest", "sessions", config.ingest_sessions),
        Limit("ingest_busy", "Ingest", "busy", config.ingest_busy),
        Limit("encoder_busy", "Encoder", "busy", config.encoder_busy),
        Limit("waiting_chunks", "Encoder", "waiting_chunks", config.waiting_chunks),
        Limit("llm_busy", "LLM", "busy", config.llm_busy),
        Limit("room_tokens", "LLM", "room_tokens", config.room_tokens, is_least=True),
    )


def shortage(reports: Mapping[str, Sequence[Report]], config: AdmissionConfig) -> Limit | None:
    """The limit for which another session is refused; None where it is taken.

    Args:
        reports: What each replica reports of itself, by deployment.
        config: The limits.
    """
    found = limits(config)
    for deployment, replicas in reports.items():
        own = [limit for limit in found if limit.deployment == deployment]
        if replicas and not any(all(limit.is_met(one) for limit in own) for one in replicas):
            return next(limit for limit in own if any(not limit.is_met(one) for one in replicas))
    return None


__all__ = ["AdmissionConfig", "Limit", "limits", "shortage"]
