"""Where sessions live, as a protocol. Redis holds the truth; every replica is a cache of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.events import Event
from service.sessions.record import (
    ChunkRecord,
    KeptSource,
    Rule,
    RuleState,
    Session,
    SessionConfig,
    SessionId,
    SessionStatus,
    Stage,
    Turn,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one replica to write for one stage of a session.

    Attributes:
        epoch: Fencing token; grows with every change of owner, so a stale owner's writes fail.
            State cached under another epoch is not to be used.
        is_new: The replica did not hold it before this claim.
    """

    session_id: SessionId
    stage: Stage
    owner: str
    epoch: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule has come to by a chunk.

    Attributes:
        state: Its `index` is the chunk's.
        event: Told where it fires.
    """

    rule_id: str
    state: RuleState
    event: Event | None = None


class SourceStore(Protocol):
    """What is fetched for sessions, and by whom; every method raises `StoreUnavailable`.

    A session has one source at most. Whoever fetches it says so now and then.
    """

    async def keep(self, lease: Lease, source: KeptSource | None) -> None:
        """Keep what the lease's owner fetches for the session; None: no longer anything.

        Raises:
            NotOwner: The lease was lost (fenced).
            SessionEnded: It is over.
            SessionNotFound: There is no such session.
        """
        ...

    async def find(self, session_id: SessionId) -> KeptSource | None:
        """What is fetched for the session."""
        ...

    async def beat(self, session_id: SessionId) -> None:
        """Say that the session's source is being fetched."""
        ...

    async def let_go(self, session_id: SessionId) -> None:
        """Say that nobody fetches it now: it is silent at once."""
        ...

    async def silent(self, silent_s: float, *, limit: int) -> Sequence[SessionId]:
        """Sessions whose source nobody has said to fetch for `silent_s`, longest first."""
        ...

    async def drop(self, session_id: SessionId) -> None:
        """The session has no source, so that its silence means nothing."""
        ...


class SessionStore(Protocol):
    """Every method raises `StoreUnavailable` when the store cannot be reached.

    Methods that take a session id raise `SessionNotFound` for one that is not there.
    """

    sources: SourceStore

    async def create(
        self,
        session_id: SessionId,
        config: SessionConfig,
        now_s: float,
        *,
        key_id: str | None = None,
    ) -> Session:
        """Make a session, owned by an API key. Raises `ValueError` when the id is taken."""
        ...

    async def get(self, session_id: SessionId) -> Session: ...

    async def recall(self, session_id: SessionId) -> Session:
        """As `get`; while the store cannot be reached, the record as this process read it last.

        Raises:
            StoreUnavailable: This process has not read it lately.
        """
        ...

    async def list(self, *, limit: int = 100, key_id: str | None = None) -> Sequence[Session]:
        """The sessions created last, newest first: those of one API key, or all."""
        ...

    async def start(self, session_id: SessionId, now_s: float) -> float:
        """Fix stream time zero at `now_s` unless it is fixed already; returns it (Unix time).

        Raises:
            SessionEnded: It is over.
        """
        ...

    async def set_status(self, session_id: SessionId, status: SessionStatus) -> None:
        """Move an open session to `status`; it may be there already.

        Raises:
            SessionEnded: It is over.
            ValueError: `service.sessions.state` knows no such transition, or `status` is ended.
        """
        ...

    async def end(self, session_id: SessionId, reason: str, now_s: float) -> bool:
        """End a session; False when it had ended before. Its keys expire some time later."""
        ...

    async def erase(self, session_id: SessionId, *, key_id: str | None = None) -> None:
        """Delete all that is known of a session, which `key_id` owned; best after its end.

        One that is not there is fine. Whoever still writes to it raises `SessionNotFound`.
        """
        ...

    async def claim(
        self,
        session_id: SessionId,
        stage: Stage,
        replica: str,
        *,
        ttl_s: float,
        steal_from: str | None = None,
    ) -> Lease:
        """Take or renew the lease of a stage, for `ttl_s` from now.

        `steal_from` is the owner that the caller's router could not reach; its lease is taken over
        even though it has not expired.

        Raises:
            NotOwner: A replica other than `steal_from` holds a lease that has not expired.
            SessionEnded: There is nothing left to own.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back; a lease lost meanwhile is ignored."""
        ...

    async def append_chunk(self, lease: Lease, record: ChunkRecord) -> bool:
        """Append to the log, once and in order, and count its tokens.

        Returns:
            False when an entry with this index or a later one is there already (nothing changes).

        Raises:
            NotOwner: The lease was lost (fenced).
            SessionEnded: The session ended meanwhile.
            ValueError: `record.follows` is not the index of the log's last entry.
        """
        ...

    async def chunks(
        self, session_id: SessionId, *, after: int = -1, limit: int | None = None
    ) -> Sequence[ChunkRecord]:
        """Entries with index > `after`, ascending; the log is bounded, so old ones may be gone."""
        ...

    async def chunk(self, session_id: SessionId, index: int) -> ChunkRecord | None: ...

    async def set_lag(self, session_id: SessionId, lag_s: float) -> None: ...

    async def add_turn(self, session_id: SessionId, turn: Turn) -> None: ...

    async def turns(self, session_id: SessionId) -> Sequence[Turn]: ...

    async def add_rule(self, session_id: SessionId, rule: Rule, *, max_rules: int) -> None:
        """Add a watch rule.

        Raises:
            BadRequest: The session has `max_rules` already.
            SessionEnded: It is over.
        """
        ...

    async def rules(self, session_id: SessionId) -> Sequence[Rule]:
        """The session's watch rules, oldest first."""
        ...

    async def watched(self, session_id: SessionId) -> Sequence[tuple[Rule, RuleState]]:
        """The session's watch rules and where each stands, oldest first."""
        ...

    async def settle_rules(
        self, session_id: SessionId, index: int, verdicts: Sequence[Verdict]
    ) -> Sequence[bool]:
        """Keep what rules have come to by chunk `index`, and tell the events of those that fired.

        State and event of a rule are written at once, so that no death between them makes it fire
        twice or never.

        Returns:
            Which verdicts were kept. False: the rule was judged by this chunk or a later one
            before, or it was removed; nothing was written and nothing told.

        Raises:
            SessionEnded: It is over.
        """
        ...

    async def remove_rule(self, session_id: SessionId, rule_id: str) -> bool:
        """Remove a watch rule; False if there is none such."""
        ...

    async def publish(self, event: Event) -> None:
        """Append to the session's event feed (bounded)."""
        ...

    async def events(
        self, session_id: SessionId, *, after: str | None, block_s: float, limit: int = 100
    ) -> Sequence[tuple[str, Event]]:
        """Events after cursor `after` (None: from the oldest kept), waiting up to `block_s`.

        Returns:
            (cursor, event) pairs in order; empty when nothing came in time.
        """
        ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...
