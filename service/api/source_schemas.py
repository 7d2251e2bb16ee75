"""Bodies of the routes of media sources."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.ingest.playback import Speed
from service.ingest.pull import SourceView, State


class CreateSource(BaseModel):
    """What to fetch."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        description="`rtsp`, `rtsps`, `http`, `https` or `file` URL, as the operator allows",
        min_length=1,
        max_length=2048,
    )
    speed: Speed = Field(
        "realtime", description="of a media file: as it plays, or as fast as there is room"
    )


class Source(BaseModel):
    """A source of a session."""

    id: str
    object: Literal["source"] = "source"
    url: str | None = Field(description="without user, password and query; null for an upload")
    speed: Speed
    state: State
    reason: str | None = Field(description="why it is in this state, where there is a reason")
    since_s: float = Field(description="Unix time since when it is in this state")

    @classmethod
    def of(cls, view: SourceView) -> "Source":
        return cls(
            id=view.id,
            url=view.url,
            speed=view.speed,
            state=view.state,
            reason=view.reason,
            since_s=view.since_s,
        )


class SourceList(BaseModel):
    """Sources, oldest first."""

    object: Literal["list"] = "list"
    data: list[Source]


__all__ = ["CreateSource", "Source", "SourceList"]
