"""Limits and timing of ingest, and what all sessions of a replica share."""

from dataclasses import dataclass, field

from service.clock import Clock
from service.ingest.clip import ClipConfig
from service.ingest.container import ContainerLimits
from service.ingest.liveness import LivenessConfig
from service.ingest.peer import PeerConfig
from service.ingest.ports import PortRange
from service.ingest.queue import QueueConfig
from service.ingest.recording.recorder import RecordingConfig
from service.ingest.source_policy import SourcePolicy
from service.ingest.uploads import UploadLimits
from service.media.chunker import ChunkerConfig
from service.metrics import Metrics
from service.pipeline import PipelineConfig, Stages
from service.retry import RetryConfig
from service.sessions.store import SessionStore
from service.tracing import Tracing

RECONNECT = RetryConfig(first_backoff_s=0.5, max_backoff_s=15.0, deadline_s=300.0)


@dataclass(frozen=True, slots=True)
class SourcesConfig:
    """How media is fetched, or taken as a file.

    Attributes:
        policy: What may be fetched; nothing by default.
        limits: What is decoded of it.
        uploads: Of media files that clients send.
        retry: Pauses before a lost live source is tried again; `deadline_s` is how long.
        max_listed: Sources that a session tells of, those that are over among them.
    """

    policy: SourcePolicy = field(default_factory=SourcePolicy)
    limits: ContainerLimits = field(default_factory=ContainerLimits)
    uploads: UploadLimits = field(default_factory=UploadLimits)
    retry: RetryConfig = field(
        default_factory=lambda: RetryConfig(
            first_backoff_s=0.5, max_backoff_s=15.0, deadline_s=300.0
        )
    )
    max_listed: int = 16


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """How a replica ingests.

    Attributes:
        max_sessions: More are refused.
        udp_ports: Range of the media ports; None: any.
        lease_s: Life of a session's lease; renewed at a third of it.
        tick_s: How often arrived media is looked at.
        has_thumbnails: Whether each chunk gets a small JPEG, for timelines.
        care_s: How often status, lease and silence are looked at.
        drain_s: How long chunks on their way may take when the replica stops.
        liveness: What silence means.
        queue: Media that may wait to be chunked.
        chunker: How media becomes chunks.
        pipeline: How chunks reach the context.
        peer: How WebRTC connects.
        clip: What is taken in of a file that comes with a question.
        sources: How other media comes in.
        recording: Limits of recordings.
    """

    max_sessions: int = 16
    udp_ports: PortRange | None = None
    lease_s: float = 15.0
    tick_s: float = 0.05
    has_thumbnails: bool = True
    care_s: float = 0.25
    drain_s: float = 5.0
    liveness: LivenessConfig = field(default_factory=LivenessConfig)
    queue: QueueConfig = field(default_factory=QueueConfig)
    chunker: ChunkerConfig = field(default_factory=ChunkerConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    peer: PeerConfig = field(default_factory=PeerConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    recording: RecordingConfig = field(default_factory=RecordingConfig)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of a replica share.

    Attributes:
        replica: Name of this replica, the owner in its leases.
    """

    replica: str
    stages: Stages
    store: SessionStore
    metrics: Metrics
    clock: Clock
    tracing: Tracing = field(default_factory=Tracing)


__all__ = ["RECONNECT", "IngestConfig", "SourcesConfig", "Surroundings"]
