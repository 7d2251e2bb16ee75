"""Settings of media that comes as files or is fetched; see `service.settings`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.egress import AllowList


class Part(BaseModel):
    """Settings of one part of the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipsSettings(Part):
    """Questions about files."""

    max_body_bytes: int = Field(
        32 << 20,
        ge=1024,
        le=80 << 20,  # a file is three quarters of it, and goes to ingest in one message of 64 MiB
        description="largest body of a chat completion; a file in it is a quarter smaller",
    )
    max_at_once: int = Field(
        4, ge=1, description="chat completions over `API__MAX_JSON_BYTES` per replica; more get 503"
    )
    upload_s: float = Field(60.0, gt=0, description="how long the body of one may take to arrive")
    max_clip_s: float = Field(600.0, gt=0, description="longer files are refused")
    wait_s: float = Field(300.0, gt=0, description="how long a file may take to be in context")


class SourcesSettings(Part):
    """Media that the service fetches or is sent as a file."""

    hosts: list[str] = Field(
        [], description="hosts that media may come from, written as those of webhooks; none: none"
    )
    schemes: list[Literal["rtsp", "rtsps", "http", "https"]] = Field(
        ["rtsp", "rtsps", "http", "https"], description="ways to fetch it"
    )
    file_roots: list[Path] = Field(
        [], description="folders of ingest replicas whose files may be played; none: none"
    )
    max_duration_s: float = Field(14_400.0, gt=0, description="of a media file; the rest is left")
    timeout_s: float = Field(10.0, gt=0, description="how long a source may say nothing")
    reconnect_s: float = Field(300.0, ge=0, description="how long a lost camera is tried again")
    max_upload_bytes: int = Field(256 << 20, ge=1, description="largest file sent")
    max_uploads: int = Field(2, ge=1, description="files sent to a replica at once")

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        AllowList.parse(hosts)
        return hosts


class RecordingSettings(Part):
    """Recordings of sessions, for replays."""

    max_recordings: int = Field(
        2, ge=0, description="made at once, per ingest replica; more get 503; 0: none are made"
    )
    max_s: float = Field(600.0, gt=0, description="longest recording")
    max_bytes: int = Field(256 << 20, ge=1 << 20, description="largest recording")
    buffer_bytes: int = Field(
        64 << 20, ge=1 << 20, description="what a slow download may be behind; then it ends"
    )


__all__ = ["ClipsSettings", "Part", "RecordingSettings", "SourcesSettings"]
