"""Whether the service takes another session now. Pure; knows nothing about what runs the replicas.

A session needs an ingest replica, an encoder, a compressor and an LLM replica with room for it.
Where all replicas of a kind are at a limit, one more session would be at the cost of those that
there are: it is refused instead. A machine that other programs keep busy is no reason to refuse the
first. What has been admitted and does not show in the reports yet counts
as what sessions cost on average, so that a crowd that comes at once finds no more room than one
that comes by and by. Replicas that said nothing lately are given the benefit of the doubt.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

Report = Mapping[str, float]

# media for so long: the first chunk is full, and what chunks cost is in what replicas call busy
FULL_S, SETTLED_S = 2.0, 8.0
PLACE_S = 10.0  # how long a session's place is kept until its media comes
HOST = "host_busy"


@dataclass(frozen=True, slots=True)
class AdmissionConfig:
    """Up to where sessions are taken.

    Attributes:
        ingest_sessions: Sessions of an ingest replica.
        ingest_busy: CPU cores that an ingest replica uses.
        encoder_busy: Share of its time that an encoder works.
        waiting_chunks: Chunks that wait at an encoder.
        compressor_busy: Share of its time that a compressor works.
        llm_busy: Share of its time that an LLM replica works.
        room_tokens: Context tokens that must be free on an LLM replica, sessions that give way
            counted as free.
        host_busy: Share of a machine's processors in use, by whomever.
        lag_s: Glass to context, of half of an ingest replica's sessions.
        session_cores: Processor cores that a session is taken to need while none has shown it.
    """

    ingest_sessions: int = 16
    ingest_busy: float = 0.9
    encoder_busy: float = 0.9
    waiting_chunks: int = 16
    compressor_busy: float = 0.9
    llm_busy: float = 0.9
    room_tokens: int = 1024
    host_busy: float = 0.75
    lag_s: float = 1.0
    session_cores: float = 0.25

    @classmethod
    def of_places(cls, *, ingest_sessions: int, room_tokens: int) -> "AdmissionConfig":
        """Only so many sessions and tokens, whatever the load."""
        return cls(
            ingest_sessions,
            room_tokens=room_tokens,
            ingest_busy=math.inf,
            encoder_busy=math.inf,
            compressor_busy=math.inf,
            llm_busy=math.inf,
            host_busy=math.inf,
            lag_s=math.inf,
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that may be short.

    Attributes:
        name: Of the limit, as refusals and metrics tell it.
        deployment: Whose replicas report it.
        signal: What they call it.
        value: Where it lies.
        is_least: Whether more is better, as of what is free.
        is_load: Whether every session adds to it.
    """

    name: str
    deployment: str
    signal: str
    value: float
    is_least: bool = False
    is_load: bool = False

    def is_met(self, report: Report) -> bool:
        """Whether a replica that reports this takes another session, as far as this goes."""
        found = report.get(self.signal)
        if found is None:
            return True
        return found >= self.value if self.is_least else found < self.value


@dataclass(frozen=True, slots=True)
class Crowd:
    """Sessions of the whole service, by how much of them the reports show.

    Attributes:
        shown: Somebody publishes to them, and their load is in the reports; one whose load is there
            in part counts in part.
        arriving: Likewise, and it is not there yet.
        waiting: Admitted, and not at an ingest replica yet.
    """

    shown: float
    arriving: float
    waiting: float

    @property
    def is_empty(self) -> bool:
        return not (self.shown or self.arriving or self.waiting)

    @classmethod
    def of(cls, ingest: Sequence[Report], num_waiting: int) -> "Crowd":
        """From what ingest replicas report; sessions that nobody publishes to are no load."""
        shown = sum(report.get("shown", 0.0) for report in ingest)
        arriving = sum(report.get("arriving", 0.0) for report in ingest)
        return cls(shown, arriving, num_waiting)


def shown_share(media_s: float) -> float:
    """How much of a session's load shows once its media has been coming for so long."""
    return min(1.0, max(0.0, (media_s - FULL_S) / (SETTLED_S - FULL_S)))


def limits(config: AdmissionConfig) -> tuple[Limit, ...]:
    """The limits of a configuration, the first one short is told."""
    return (
        Limit("ingest_sessions", "Ingest", "sessions", config.ingest_sessions),
        Limit("ingest_busy", "Ingest", "busy", config.ingest_busy, is_load=True),
        Limit(HOST, "Ingest", "host_busy", config.host_busy, is_load=True),
        Limit("lag_s", "Ingest", "lag_s", config.lag_s),
        Limit("encoder_busy", "Encoder", "busy", config.encoder_busy, is_load=True),
        Limit("waiting_chunks", "Encoder", "waiting_chunks", config.waiting_chunks),
        Limit("compressor_busy", "Compressor", "busy", config.compressor_busy, is_load=True),
        Limit("llm_busy", "LLM", "busy", config.llm_busy, is_load=True),
        Limit("room_tokens", "LLM", "room_tokens", config.room_tokens, is_least=True),
    )


def shortage(
    reports: Mapping[str, Sequence[Report]], config: AdmissionConfig, *, num_waiting: int = 0
) -> Limit | None:
    """The limit for which another session is refused; None where it is taken.

    Args:
        reports: What each replica reports of itself, by deployment.
        config: The limits.
        num_waiting: Sessions that were admitted and are not at an ingest replica yet.
    """
    crowd = Crowd.of(reports.get("Ingest", ()), num_waiting)
    found = [one for one in limits(config) if one.name != HOST or not crowd.is_empty]
    for deployment, replicas in reports.items():
        own = [limit for limit in found if limit.deployment == deployment]
        if replicas and not any(all(limit.is_met(one) for limit in own) for one in replicas):
            return next(limit for limit in own if any(not limit.is_met(one) for one in replicas))
        for limit in own:
            if not _has_room_for(crowd, limit, replicas, config):
                return limit
    return None


def _has_room_for(
    crowd: Crowd, limit: Limit, replicas: Sequence[Report], config: AdmissionConfig
) -> bool:
    """Whether one more would be within the limit once all who were admitted have come."""
    readings = [report[limit.signal] for report in replicas if limit.signal in report]
    if not readings:
        return True
    mean = fmean(readings)
    if limit.signal == "sessions":
        return mean + crowd.waiting / len(readings) < limit.value
    if limit.is_least:
        return mean - (crowd.arriving + crowd.waiting) / len(readings) * limit.value >= limit.value
    if not limit.is_load:
        return True
    one_more = crowd.arriving + crowd.waiting + 1
    return mean + one_more * _cost(crowd, mean, _guess(limit, replicas, config)) <= limit.value


def _cost(crowd: Crowd, mean: float, guess: float | None) -> float:
    """What one session adds to the mean; a guess weighs as much as one that was measured."""
    if guess is not None:
        return (min(crowd.shown, 1.0) * mean + guess) / (crowd.shown + 1.0)
    return mean / max(crowd.shown, 1.0) if crowd.shown else 0.0


def _guess(limit: Limit, replicas: Sequence[Report], config: AdmissionConfig) -> float | None:
    """What a session would add to a machine's load; of other loads nothing is known before."""
    if limit.name != HOST:
        return None
    return config.session_cores / max(1.0, fmean(one.get("host_cores", 1.0) for one in replicas))


__all__ = ["PLACE_S", "AdmissionConfig", "Crowd", "Limit", "limits", "shortage", "shown_share"]
