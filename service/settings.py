"""Every setting of the service, read once from the environment. The only reader of it.

A variable is `OMNISIFT_` plus the field's name, parts nest with `__`: `OMNISIFT_LLM__NUM_PAGES`.
docs/settings.md lists them all, and a test keeps it complete.
"""

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from compressor.weights import EMBEDDED_MODEL
from service.access.keyring import Keyring
from service.admission.decision import AdmissionConfig
from service.egress import AllowList
from service.llm.config import AttentionName
from service.llm.policy import PolicyName, Progressive
from service.media_settings import ClipsSettings, Part, RecordingSettings, SourcesSettings

ProfileName = Literal["live", "paper-35", "paper-25", "speech", "full"]
DtypeName = Literal["float32", "bfloat16", "float16"]


class Replicas(Part):
    """How many replicas a deployment has and what each reserves."""

    replicas: int = Field(1, ge=1, description="replicas of this deployment")
    num_cpus: float = Field(0.1, ge=0, description="CPUs that Ray reserves for a replica")
    num_gpus: float = Field(0.0, ge=0, description="GPUs that Ray reserves for a replica")
    node_group: str | None = Field(
        None, description="nodes that replicas go to: those with a Ray resource of this name"
    )
    max_replicas: int | None = Field(
        None, ge=1, description="follow the load up to so many; unset: always `replicas`"
    )

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas ({self.max_replicas}) is below replicas ({self.replicas})"
            )
        return self


class ApiSettings(Replicas):
    """The HTTP side."""

    max_json_bytes: int = Field(1 << 20, ge=1024, description="largest JSON body")
    max_sdp_bytes: int = Field(64 << 10, ge=1024, description="largest SDP offer or fragment")
    keep_alive_s: float = Field(15.0, gt=0, description="SSE comment when nothing happens")
    max_event_streams: int = Field(256, ge=1, description="event watchers per replica")
    write_s: float = Field(30.0, gt=0, description="a client that does not read is cut off")
    max_stream_bytes: int = Field(
        4 << 20, ge=64 << 10, description="bytes after which an event watcher must reconnect"
    )
    cors_origins: list[str] = Field([], description="origins of pages served elsewhere")
    ice_servers: list[str] = Field([], description="STUN and TURN URLs told to publishers")
    turn_secret: SecretStr | None = Field(
        None, description="shared with the TURN servers, to make credentials that expire"
    )


class IngestSettings(Replicas):
    """WebRTC peers and chunking."""

    num_cpus: float = Field(0.2, ge=0, description="CPUs that Ray reserves for a replica")
    max_sessions: int = Field(16, ge=1, description="sessions per replica; more get 503")
    max_pending_chunks: int = Field(4, ge=1, description="chunks queued per session, then dropped")
    no_media_s: float = Field(30.0, gt=0, description="a publisher without media ends its session")
    idle_s: float = Field(300.0, gt=0, description="a session without publisher ends after this")
    max_session_s: float = Field(
        86_400.0, gt=0, description="a session ends this long after it was created"
    )
    max_frame_pixels: int = Field(
        3840 * 2160, ge=28 * 28, description="larger pictures are discarded unseen"
    )
    max_pixels: int = Field(224 * 224, ge=28 * 28, description="pixel budget of a video frame")
    ice_servers: list[str] = Field([], description="STUN and TURN URLs the server itself uses")
    drain_s: float = Field(
        20.0, ge=0, description="how long a stopping replica waits for another to take its peers"
    )
    udp_ports: tuple[int, int] | None = Field(
        None, description="media port range, e.g. [40000,40199]"
    )


class EncoderSettings(Replicas):
    """Vision and audio towers."""

    num_cpus: float = Field(0.3, ge=0, description="CPUs that Ray reserves for a replica")
    max_batch_chunks: int = Field(8, ge=1, description="chunks encoded at once, of any sessions")
    max_wait_ms: float = Field(5.0, ge=0, description="how long a chunk waits for company")


class CompressorSettings(Replicas):
    """Token compression."""

    max_sessions: int = Field(
        1024, ge=1, description="sessions that a replica remembers frames of; more get 503"
    )
    lease_s: float = Field(10.0, gt=0, description="lease of a session without renewal")


class LLMSettings(Replicas):
    """The live-context engine."""

    num_cpus: float = Field(0.4, ge=0, description="CPUs that Ray reserves for a replica")
    lease_s: float = Field(10.0, gt=0, description="lease of a session without renewal")
    outage_s: float = Field(
        300.0, ge=0, description="how long questions are answered from the cache without Redis"
    )
    num_pages: int = Field(4096, ge=16, description="pages of the KV cache")
    page_tokens: int = Field(16, ge=1, description="tokens per page")
    step_tokens: int = Field(512, ge=16, description="tokens of one packed forward")
    context_tokens: int = Field(8192, ge=256, description="stream tokens held per session")
    total_tokens: int | None = Field(
        None, ge=256, description="tokens that all sessions of a replica hold; unset: by pages"
    )
    max_questions: int = Field(32, ge=1, description="questions answered at once; more get 503")
    question_ratio: float = Field(
        0.125, gt=0, lt=1, description="share of the pages that contexts leave to questions"
    )
    reserve_ratio: float = Field(
        0.125, gt=0, le=1, description="share of its budget that a session is sure of, or gets 503"
    )
    policy: PolicyName = Field(
        "progressive", description="what goes first: `progressive`, `fifo`, `sinks`"
    )
    num_sinks: int = Field(4, ge=0, description="`sinks`: units kept from the stream's start")
    video_ratio: float = Field(
        Progressive().video_ratio,
        gt=0,
        lt=1,
        description="`progressive`: share of the budget that is for video",
    )
    video_keep_ratios: tuple[float, ...] = Field(
        Progressive().keep_ratios,
        description="`progressive`: video held / arrived, from new to old",
    )
    notes_gaps: bool = Field(
        False, description="tell a question which part of the stream is no longer held"
    )
    attention: AttentionName = Field(
        "auto", description="kernels: `gather` (any device), `triton` (CUDA), `auto`: what works"
    )
    cuda_graphs: bool = Field(True, description="launch a decode step as one, with Triton on CUDA")
    int8_weights: bool = Field(
        False, description="hold the layers' weights as int8: half the memory of bfloat16"
    )

    @field_validator("video_keep_ratios")
    @classmethod
    def _check_keep_ratios(cls, ratios: tuple[float, ...]) -> tuple[float, ...]:
        return Progressive(keep_ratios=ratios).keep_ratios


class ScalingSettings(Part):
    """How deployments with `max_replicas` follow their load."""

    limit_ratio: float = Field(
        0.75, gt=0, le=1, description="share of a replica's sessions or pages that it should carry"
    )
    busy_ratio: float = Field(
        0.6, gt=0, le=1, description="share of the time that a replica should work"
    )
    startup_s: float = Field(
        60.0,
        ge=0,
        description="how far ahead growth is followed: the time a replica needs to start",
    )
    trend_s: float = Field(30.0, gt=0, description="over how long growth is measured")
    hold_s: float = Field(
        600.0, gt=0, description="a replica goes once nobody has wanted it for so long"
    )


class TracingSettings(Part):
    """Traces, by OpenTelemetry."""

    endpoint: str | None = Field(
        None, description="OTLP/HTTP collector, e.g. `http://collector:4318`; unset: no traces"
    )
    headers: dict[str, SecretStr] = Field(
        {}, description="sent to the collector, as a JSON object: its key, say"
    )
    sample_ratio: float = Field(1.0, ge=0, le=1, description="share of traces kept")
    captures_content: bool = Field(
        False, description="put questions and answers into traces; media never is"
    )


class AdmissionSettings(Part):
    """When new sessions are refused: all replicas of a kind are at a limit."""

    by_load: bool = Field(
        True, description="whether load counts; if not, only sessions and their tokens do"
    )

    ingest_busy: float = Field(0.9, gt=0, description="CPU cores that an ingest replica uses")
    encoder_busy: float = Field(0.9, gt=0, description="share of its time that an encoder works")
    waiting_chunks: int = Field(16, ge=1, description="chunks that wait at an encoder")
    compressor_busy: float = Field(
        0.9, gt=0, description="share of its time that a compressor works"
    )
    llm_busy: float = Field(0.9, gt=0, description="share of its time that an LLM replica works")
    host_busy: float = Field(
        0.75, gt=0, description="share of a machine's processors in use, by whomever"
    )
    lag_s: float = Field(
        1.0, gt=0, description="seconds from glass to context, of half of a replica's sessions"
    )
    session_cores: float = Field(
        0.25, ge=0, description="CPU cores that a session is taken to need while none has shown it"
    )
    room_ratio: float = Field(
        0.125, ge=0, le=1, description="share of a session's context that must be free on an LLM"
    )


class StoreSettings(Part):
    """Redis."""

    ttl_s: float = Field(86_400.0, gt=0, description="life of an untouched session")
    ttl_ended_s: float = Field(3_600.0, gt=0, description="how long an ended session can be read")
    max_log_chunks: int = Field(2048, ge=1, description="chunks kept per session")
    max_log_bytes: int = Field(256 << 20, ge=1 << 20, description="bytes of chunks per session")
    thumbnails: bool = Field(True, description="keep a small JPEG with each chunk, about 5 kB")


class RulesSettings(Part):
    """Watch rules and their webhooks."""

    max_rules: int = Field(16, ge=0, description="watch rules per session")
    window_s: float = Field(4.0, gt=0, description="a rule is about so many seconds before now")
    webhook_hosts: list[str] = Field(
        [], description="hosts that webhooks may go to: names, `*.domain`, `*`, addresses, networks"
    )

    @field_validator("webhook_hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        AllowList.parse(hosts)
        return hosts


class AuthSettings(Part):
    """API keys and what may be done with one."""

    keys_file: Path | None = Field(
        None, description='JSON file of API keys, hashed: {"keys": [...]}; unset: see `KEYS`'
    )
    keys: SecretStr | None = Field(
        None, description="the same JSON itself; without keys the service is open to everyone"
    )
    token_secret: SecretStr | None = Field(
        None, min_length=32, description="signs session tokens; unset: a new one at every start"
    )
    max_token_ttl_s: float = Field(
        86_400.0, ge=1, le=86_400, description="longest life of a session token"
    )
    max_sessions: int = Field(16, ge=1, description="open sessions of a key; more get 429")
    questions_per_minute: int = Field(120, ge=1, description="of a key; more get 429")
    max_questions: int = Field(8, ge=1, description="of a key at the same time; more get 429")
    max_rules: int = Field(
        64, ge=1, description="watch rules of a key's open sessions; more get 429"
    )
    max_event_streams: int = Field(
        32, ge=1, description="event watchers of a key per replica; more get 429"
    )

    def keyring(self) -> Keyring:
        """All API keys.

        Raises:
            OSError: The file cannot be read.
            ValueError: It, or `keys`, is not what `python -m service keygen` prints.
        """
        texts = [] if self.keys is None else [self.keys.get_secret_value()]
        if self.keys_file is not None:
            texts.append(self.keys_file.read_text(encoding="utf-8"))
        return Keyring.parse(*texts)

    def resolved(self) -> "AuthSettings":
        """The same with the file read and a secret made: what all replicas agree on.

        Raises what `keyring` raises.
        """
        made = SecretStr(secrets.token_urlsafe(32))
        keys = SecretStr(self.keyring().dump())
        update = {"keys_file": None, "keys": keys, "token_secret": self.token_secret or made}
        return self.model_copy(update=update)


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix="OMNISIFT_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    host: str = Field("127.0.0.1", description="address of the HTTP server")
    port: int = Field(8000, ge=0, le=65_535, description="port of the HTTP server")
    redis_url: SecretStr | None = Field(
        None, description="Redis >= 6.2; unset: the service starts a server of its own on loopback"
    )
    redis_dir: Path | None = Field(
        None, description="where the service's own Redis keeps its data; unset: for one run only"
    )
    model: str = Field(
        str(EMBEDDED_MODEL),
        description="checkpoint folder or hub id, in the layout of Qwen2.5-Omni",
    )
    dtype: DtypeName = Field("float32", description="of the weights and the KV cache")
    device: str = Field("cpu", description="torch device of encoder, compressor and LLM")
    torch_threads: int = Field(1, ge=1, description="CPU threads of torch in each replica")
    profile: ProfileName = Field(
        "live", description="compression profile of sessions that name none"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="of logs")
    log_prompts: bool = Field(False, description="write questions and answers into the logs")
    health_check_s: float = Field(1.0, gt=0, description="how often replicas are checked")
    spares: int = Field(1, ge=0, description="processes per node, ready to become replicas")

    api: ApiSettings = ApiSettings()
    ingest: IngestSettings = IngestSettings()
    encoder: EncoderSettings = EncoderSettings()
    compressor: CompressorSettings = CompressorSettings()
    llm: LLMSettings = LLMSettings()
    scaling: ScalingSettings = ScalingSettings()
    admission: AdmissionSettings = AdmissionSettings()
    store: StoreSettings = StoreSettings()
    tracing: TracingSettings = TracingSettings()
    rules: RulesSettings = RulesSettings()
    clips: ClipsSettings = ClipsSettings()
    sources: SourcesSettings = SourcesSettings()
    recording: RecordingSettings = RecordingSettings()
    auth: AuthSettings = AuthSettings()

    @property
    def admission_config(self) -> AdmissionConfig:
        limits = self.admission
        places = AdmissionConfig.of_places(
            ingest_sessions=self.ingest.max_sessions,
            room_tokens=int(limits.room_ratio * self.llm.context_tokens),
        )
        if not limits.by_load:
            return places
        return replace(
            places,
            ingest_busy=limits.ingest_busy,
            encoder_busy=limits.encoder_busy,
            waiting_chunks=limits.waiting_chunks,
            compressor_busy=limits.compressor_busy,
            llm_busy=limits.llm_busy,
            host_busy=limits.host_busy,
            lag_s=limits.lag_s,
            session_cores=limits.session_cores,
        )

    @property
    def model_name(self) -> str:
        """The model as `GET /v1/models` and the metrics name it."""
        return Path(self.model).name

    @property
    def torch_dtype(self) -> torch.dtype:
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype


RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # a chunk of 640x480 frames is 3.7 MB, its transport's default limit 4 MiB
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(64 << 20),
    # live load changes within seconds; by default replicas report it every ten
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "2",
    "RAY_preload_python_modules": "service.deployments.preload",
    # Ray's default is 15: whatever else the machine does would come before live streams
    "RAY_worker_niceness": "0",
    # it would abort a process that is told to stop; crashes are told by Python's own handler
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
}
"""What Ray reads from the environment when it is imported, on every node."""


def export_ray_environment() -> None:
    """Set `RAY_ENVIRONMENT`, but for what is set already."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
