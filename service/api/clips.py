"""Sessions for one question about files: made, fed as fast as it goes, and gone with the answer.

The files take the way of every stream (ingest, encoder, compressor, log, context), so an answer
about it is what a live session with the same media would give.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from service.access.caller import Caller, Scope
from service.api.backend import Backend
from service.api.conversation import Attachment
from service.api.schemas import CreateSession, ProfileName
from service.api.sessions import create_session
from service.clock import Clock
from service.errors import DeadlineExceeded, Forbidden, ServiceError, Unavailable
from service.ingest.clip import ClipFile
from service.retry import RetryConfig, insist
from service.sessions.record import Session, SessionId
from service.source_errors import MediaUnreadable
from service.tasks import TaskSet

logger = logging.getLogger(__name__)

END_REASON: Final = "answered"
MAX_EVENTS: Final = 10_000  # more than a session's feed holds


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """Limits of questions about files.

    Attributes:
        wait_s: How long a file may take to be in context.
    """

    wait_s: float = 300.0


class Clips:
    """Opens sessions for files."""

    def __init__(
        self, backend: Backend, clock: Clock, config: ClipsConfig, *, default_profile: str
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._config = config
        self._default_profile = default_profile
        self._tasks = TaskSet()

    @asynccontextmanager
    async def session(
        self, caller: Caller, attached: Sequence[Attachment], profile: ProfileName | None
    ) -> AsyncIterator[Session]:
        """Hold a session that has whole files in context; afterwards nothing is left of it.

        Raises:
            AtCapacity: The service takes no other session now.
            BadRequest: A file is not base64.
            DeadlineExceeded: They were not in context in time.
            Forbidden: The caller may not publish, or holds a token for another session.
            RateLimited: The caller's key has as many open sessions as it may.
            Unavailable: A part of them was lost on its way; try again.
            ServiceError: As `IngestStage.digest` does.
        """
        if not caller.has_any([Scope.PUBLISH]):
            raise Forbidden(
                "a question about a file makes a session: this needs a key with scope publish",
                scopes=[Scope.PUBLISH],
            )
        files = [ClipFile(await _origin(one), one.kind) for one in attached]
        made = await create_session(
            self._backend,
            caller,
            CreateSession(profile=profile),
            self._default_profile,
            self._clock(),
        )
        session_id = SessionId(made.id)
        try:
            yield await self._fed(session_id, files)
        finally:
            # on its own, since who cancels this waits for nothing
            freeing = self._tasks.spawn(self._free(session_id, caller), name=f"free {session_id}")
            await asyncio.shield(freeing)

    async def _fed(self, session_id: SessionId, files: Sequence[ClipFile]) -> Session:
        limit_s = self._config.wait_s
        try:
            async with asyncio.timeout(limit_s):
                await self._backend.ingest.digest(session_id, files)
        except TimeoutError as error:
            raise DeadlineExceeded(stage="clip", limit_s=limit_s) from error
        store = self._backend.store
        told = await store.events(session_id, after=None, block_s=0.0, limit=MAX_EVENTS)
        if any(event.type == "dropped" for _, event in told):
            kinds = " and the ".join(sorted({file.kind for file in files}))
            raise Unavailable(f"a part of the {kinds} was lost on its way; ask again")
        record = await store.get(session_id)
        if not record.num_chunks:
            raise MediaUnreadable("it is too short")
        return record

    async def _free(self, session_id: SessionId, caller: Caller) -> None:
        backend = self._backend
        try:
            end = partial(backend.ingest.end, session_id, END_REASON)
            await insist(end, stage="clip", config=RetryConfig())
            await backend.store.erase(session_id, key_id=caller.key_id)
            await backend.quotas.close_session(caller.key_id, session_id)
        except ServiceError as error:
            # it ends as one that its publisher has left
            logger.warning("session of a file left: %s", error, extra={"session_id": session_id})


async def _origin(attachment: Attachment) -> bytes | str:
    if attachment.url is not None:
        return attachment.url
    return await asyncio.to_thread(attachment.content)


__all__ = ["Clips", "ClipsConfig"]
