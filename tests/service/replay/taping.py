"""Recordings of real sessions, made in this process."""

from collections.abc import Sequence
from pathlib import Path

from service.ingest.worker import IngestWorker
from service.media.frames import AudioFrame, VideoFrame
from service.sessions.record import SessionId


async def play(
    worker: IngestWorker, session_id: SessionId, frames: Sequence[VideoFrame | AudioFrame]
) -> None:
    """Publish frames in order of time, and leave."""
    feed = await worker.feed(session_id)
    for frame in sorted(frames, key=lambda frame: frame.pts_s):
        feed.push(frame)
    await feed.aclose()


async def fetch(worker: IngestWorker, session_id: SessionId, recording_id: str, path: Path) -> Path:
    """Download a recording to its end."""
    number, data = 0, bytearray()
    while (part := await worker.recording_part(session_id, recording_id, number)) is not None:
        data += part
        number += 1 if part else 0
    path.write_bytes(data)  # noqa: ASYNC240 - a small file
    return path
