"""Files on their way in: parts become a temporary file, which never outlives its use.

The file has no name, so that it is gone with the process at the latest. An upload that is not
continued for a while is given up.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO

from service.errors import AtCapacity, BodyTooLarge, Unavailable
from service.sessions.record import SessionId


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Of one replica.

    Attributes:
        max_bytes: Of one file.
        max_uploads: At the same time.
        idle_s: How long the next part may take.
    """

    max_bytes: int = 256 << 20
    max_uploads: int = 2
    idle_s: float = 30.0


@dataclass(slots=True)
class _Upload:
    session_id: SessionId
    file: BinaryIO
    size: int
    timer: asyncio.TimerHandle


class Uploads:
    """The uploads of one replica.

    Args:
        limits: See there.
        on_given_up: Told of the session whose upload was not continued.
    """

    def __init__(self, limits: UploadLimits, on_given_up: Callable[[SessionId], None]) -> None:
        self._limits = limits
        self._on_given_up = on_given_up
        self._uploads: dict[str, _Upload] = {}

    def has(self, session_id: SessionId) -> bool:
        """Whether the session waits for one."""
        return any(upload.session_id == session_id for upload in self._uploads.values())

    def begin(self, session_id: SessionId) -> str:
        """Open one and name it.

        Raises:
            AtCapacity: There are as many as may be.
        """
        if len(self._uploads) >= self._limits.max_uploads:
            raise AtCapacity(stage="uploads", limit=self._limits.max_uploads)
        upload_id = secrets.token_urlsafe(12)
        file = TemporaryFile()  # noqa: SIM115  # closed by `drop`, or with the container
        self._uploads[upload_id] = _Upload(session_id, file, 0, self._timer(upload_id))
        return upload_id

    async def append(self, session_id: SessionId, upload_id: str, offset: int, data: bytes) -> None:
        """Add a part; one that has arrived before changes nothing.

        Raises:
            Unavailable: There is no such upload, or a part is missing.
            BodyTooLarge: It is over the limit, and dropped.
        """
        upload = self._find(session_id, upload_id)
        if offset + len(data) > self._limits.max_bytes:
            self.drop(upload_id)
            raise BodyTooLarge(limit_bytes=self._limits.max_bytes)
        if offset > upload.size:
            raise Unavailable("a part of the upload is missing; send it again")
        upload.timer.cancel()
        upload.timer = self._timer(upload_id)
        if offset == upload.size:
            upload.size += len(data)
            await asyncio.to_thread(upload.file.write, data)

    def take(self, session_id: SessionId, upload_id: str) -> BinaryIO:
        """The whole file, from its beginning; it is the caller's now.

        Raises:
            Unavailable: There is no such upload.
        """
        upload = self._find(session_id, upload_id)
        upload.timer.cancel()
        del self._uploads[upload_id]
        upload.file.seek(0)
        return upload.file

    def drop(self, upload_id: str) -> None:
        """Remove one, if it is there."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            upload.timer.cancel()
            upload.file.close()

    def drop_all(self, session_id: SessionId | None = None) -> None:
        """Remove those of a session; None: of all."""
        for upload_id, upload in [*self._uploads.items()]:
            if session_id in (None, upload.session_id):
                self.drop(upload_id)

    def _find(self, session_id: SessionId, upload_id: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.session_id != session_id:
            raise Unavailable("the upload was given up, or its replica is gone; send it again")
        return upload

    def _timer(self, upload_id: str) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(self._limits.idle_s, self._give_up, upload_id)

    def _give_up(self, upload_id: str) -> None:
        session_id = self._uploads[upload_id].session_id
        self.drop(upload_id)
        self._on_given_up(session_id)


__all__ = ["UploadLimits", "Uploads"]
