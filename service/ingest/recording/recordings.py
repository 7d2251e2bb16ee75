"""The recordings that one replica makes now."""

import secrets

from service.errors import AtCapacity, Forbidden, Unavailable
from service.ingest.recording.recorder import Recorder, RecordingConfig
from service.sessions.record import SessionId

ID_BYTES = 8


class Recordings:
    """Finds a recorder for whoever downloads it, and bounds how many there are."""

    def __init__(self, config: RecordingConfig) -> None:
        self._config = config
        self._open: dict[SessionId, tuple[str, Recorder]] = {}

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._open

    def check_room(self, session_id: SessionId) -> None:
        """Raise what `add` would.

        Raises:
            Forbidden: This service makes no recordings.
            AtCapacity: The session is being recorded, or too many others are.
        """
        limit = self._config.max_recordings
        if limit == 0:
            raise Forbidden("recordings are switched off (OMNISIFT_RECORDING__MAX_RECORDINGS)")
        if session_id in self._open:
            raise AtCapacity(stage="recording of this session", limit=1)
        if len(self._open) >= limit:
            raise AtCapacity(stage="recording", limit=limit)

    def add(self, session_id: SessionId, recorder: Recorder) -> str:
        """Keep a recorder until `remove`; returns the recording's id."""
        self.check_room(session_id)
        recording_id = secrets.token_hex(ID_BYTES)
        self._open[session_id] = (recording_id, recorder)
        return recording_id

    def find(self, session_id: SessionId, recording_id: str) -> Recorder:
        """The recorder.

        Raises:
            Unavailable: It is gone: the session has moved, or nobody fetched it for too long.
        """
        found_id, recorder = self._open.get(session_id, ("", None))
        if recorder is None or found_id != recording_id:
            raise Unavailable("the recording is gone")
        return recorder

    def remove(self, session_id: SessionId) -> None:
        """It is over."""
        self._open.pop(session_id, None)


__all__ = ["Recordings"]
