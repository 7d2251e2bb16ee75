"""What the fake service holds, and the switches that tests set. It knows no HTTP."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from service.api import schemas
from service.api.source_schemas import Source
from service.errors import ServiceError
from service.ingest.recording.report import ReplayItem
from tests.clients.receiver import Receiver

GRID = (6, 8)


@dataclass
class Feed:
    """A session as the fake holds it."""

    record: schemas.Session
    receivers: dict[str, Receiver] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    turns: list[schemas.TurnItem] = field(default_factory=list)

    def add_event(self, type_: str, **data: Any) -> None:
        common = {"type": type_, "session_id": self.record.id, "at_s": 1000.0 + len(self.events)}
        self.events.append((type_, common | data))


@dataclass
class FakeService:
    """State and switches that tests set.

    Attributes:
        words: What every answer says.
        refusals: (method, path suffix) -> (status, code, headers): refuse such requests.
        chunk_s: How often a chunk appears while media arrives.
        recording: Pieces of every recording.
        replayed: What comes of every replay; an error ends it.
        word_gap_s: Pause between two words of a streamed answer.
        ice_links: The Link header that names STUN and TURN servers.
        played: How an upload ends once it was asked about, (state, reason); None: it goes on.
        events_per_connection: Close the event feed after so many, as a failing proxy would.
    """

    words: tuple[str, ...] = ("a", " red", " circle")
    recording: tuple[bytes, ...] = (b"media", b'{"reason":"seconds","crc32":1,"type":"end"}')
    replayed: tuple[ReplayItem | ServiceError, ...] = ()
    api_key: str | None = None
    chunk_s: float = 0.3
    word_gap_s: float = 0.0
    ice_links: str = ""
    played: tuple[Literal["ended", "failed"], str | None] | None = None
    events_per_connection: int | None = None
    refusals: dict[tuple[str, str], tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    feeds: dict[str, Feed] = field(default_factory=dict)
    rules: dict[str, schemas.CreatedRule] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    uploads: list[tuple[str, bytes]] = field(default_factory=list)
    anyway: list[bool] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def feed(self, session_id: str | None = None) -> Feed:
        return self.feeds[session_id] if session_id else next(reversed(self.feeds.values()))

    def bodies(self, method: str, suffix: str) -> list[dict[str, Any]]:
        return [
            json.loads(body)
            for verb, path, _, body in self.requests
            if verb == method and path.endswith(suffix)
        ]

    def create(self, **options: Any) -> Feed:
        id_ = f"s{len(self.feeds)}"
        feed = Feed(_record(id_, options))
        self.feeds[id_] = feed
        feed.add_event("session.created")
        return feed

    def add_chunk(self, feed: Feed) -> None:
        record, index = feed.record, feed.record.chunks
        rows, columns = GRID
        kept = [[(index + 3 * i) % (rows * columns) for i in range(12)] for _ in range(2)]
        tokens = schemas.Tokens.model_validate(
            {"video": {"in": 2 * rows * columns, "kept": 24}, "audio": {"in": 50, "kept": 25}}
        )
        record.chunks, record.stream_s, record.lag_s = index + 1, 2.0 * (index + 1), 1.25
        for modality in ("video", "audio"):
            total, more = getattr(record.tokens, modality), getattr(tokens, modality)
            total.in_ += more.in_
            total.kept += more.kept
        total_in = record.tokens.video.in_ + record.tokens.audio.in_
        record.keep_ratio = (record.tokens.video.kept + record.tokens.audio.kept) / total_in
        feed.add_event(
            "chunk",
            index=index,
            start_s=2.0 * index,
            end_s=2.0 * index + 2.0,
            tokens=tokens.model_dump(by_alias=True),
            kept={"video": [sorted(grid) for grid in kept], "audio": list(range(0, 50, 2))},
            grid_sizes=[list(GRID)] * 2,
            lag_s=1.25,
            stages_s={"encode": 0.2, "compress": 0.01, "prefill": 0.1},
            skew_s=0.01,
            gaps=[],
        )

    def set_status(self, feed: Feed, status: str, **data: Any) -> None:
        feed.record.status = status  # type: ignore[assignment]  # statuses of the schema, as text
        feed.add_event(f"session.{status}", **data)


def _record(id_: str, options: dict[str, Any]) -> schemas.Session:
    zero = {"in": 0, "kept": 0}
    path = f"/v1/sessions/{id_}"
    return schemas.Session.model_validate(
        {
            "id": id_,
            "status": "created",
            "profile": options.get("profile") or "live",
            "keep_ratio": None,
            "created_at_s": 1000.0,
            "started_at_s": None,
            "ended_at_s": None,
            "end_reason": None,
            "chunks": 0,
            "stream_s": 0.0,
            "lag_s": None,
            "tokens": {"video": zero, "audio": zero},
            "metadata": options.get("metadata") or {},
            "links": {
                "self": path,
                "whip": f"{path}/whip",
                "query": f"{path}/query",
                "events": f"{path}/events",
            },
        }
    )
