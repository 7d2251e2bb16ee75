"""Many publishers at once who cost next to nothing: they send one clip that is encoded already.

Each asks for a session until it gets one, as often as the service lets it, and then streams.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaPlayer

from clients.sdk import AsyncClient, whip
from clients.sdk.errors import NotFound, OmniSiftError, Unavailable
from compressor.training.film import write_mp4
from compressor.training.scenes import Split
from compressor.training.timeline import draw_scene

RETRY_S = 1.0  # where the service names no time


@dataclass(slots=True)
class Visits:
    """What became of a crowd so far.

    Attributes:
        session_ids: Those that were let in.
        num_refused: Requests for a session that were refused.
        num_turned_away: Sessions that were made, and whose media was then refused once.
        num_failed: Connections that were let in and lost.
        has_entered: Set once somebody was let in.
    """

    session_ids: list[str] = field(default_factory=list)
    num_refused: int = 0
    num_turned_away: int = 0
    num_failed: int = 0
    has_entered: asyncio.Event = field(default_factory=asyncio.Event)


def make_clip(folder: Path, seconds: float) -> Path:
    """Write a scene as WebRTC carries it: H.264 with start codes and Opus, in MPEG-TS."""
    source, target = folder / "scene.mp4", folder / "scene.ts"
    write_mp4(draw_scene(Split.TEST, 0, seconds), source)
    with av.open(str(source)) as read, av.open(str(target), "w", format="mpegts") as write:
        video = write.add_stream("libx264", rate=25, options={"bf": "0", "g": "25"})
        video.width, video.height = read.streams.video[0].width, read.streams.video[0].height
        video.pix_fmt, video.bit_rate = "yuv420p", 800_000
        audio = write.add_stream("libopus", rate=48_000, layout="stereo")
        resampler = av.AudioResampler("s16", "stereo", 48_000)
        for frame in read.decode():
            if isinstance(frame, av.VideoFrame):
                write.mux(video.encode(frame.reformat()))
            else:
                for sound in resampler.resample(frame):
                    write.mux(audio.encode(sound))
        write.mux(video.encode(None))
        write.mux(audio.encode(None))
    return target


@asynccontextmanager
async def crowd(url: str, clip: Path, size: int) -> AsyncIterator[Visits]:
    """So many publishers who come at once; all that were let in end with this.

    Args:
        url: Of the service.
        clip: From `make_clip`; whoever has sent all of it is gone.
        size: How many come.
    """
    visits = Visits()
    async with AsyncClient(url) as client:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_visit(client, clip, visits)) for _ in range(size)]
                yield visits
                for task in tasks:
                    task.cancel()
        finally:
            await _end(client, visits.session_ids)


async def _visit(client: AsyncClient, clip: Path, visits: Visits) -> None:
    while True:
        try:
            session = await client.create_session(metadata={"source": "benchmark"})
        except Unavailable as refusal:
            visits.num_refused += 1
            await asyncio.sleep(refusal.retry_after_s or RETRY_S)
        else:
            break
    while True:
        try:
            await _stream(client, session.id, clip, visits)
        except Unavailable as refusal:
            visits.num_turned_away += 1
            await asyncio.sleep(refusal.retry_after_s or RETRY_S)
        else:
            return


async def _stream(client: AsyncClient, session_id: str, clip: Path, visits: Visits) -> None:
    player = MediaPlayer(str(clip), decode=False)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    ended = asyncio.Event()

    def note() -> None:
        if connection.connectionState in ("failed", "closed"):
            ended.set()

    connection.on("connectionstatechange", note)
    try:
        for track in (player.video, player.audio):
            assert track is not None
            connection.addTrack(track)
        _send_as_it_is(connection)
        await connection.setLocalDescription(await connection.createOffer())
        sdp = str(connection.localDescription.sdp)
        resource = await client.send(whip.offer(session_id, sdp))
        await connection.setRemoteDescription(
            RTCSessionDescription(sdp=resource.answer_sdp, type="answer")
        )
        visits.session_ids.append(session_id)
        visits.has_entered.set()
        await ended.wait()
        visits.num_failed += 1
    finally:
        await connection.close()
        for track in (player.video, player.audio):
            if track is not None:
                track.stop()


def _send_as_it_is(connection: RTCPeerConnection) -> None:
    """Agree on what the clip is encoded in: it is not encoded anew."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    for transceiver in connection.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])


async def _end(client: AsyncClient, session_ids: Sequence[str]) -> None:
    for session_id in session_ids:
        with suppress(NotFound, OmniSiftError):
            await client.end_session(session_id)


__all__ = ["Visits", "crowd", "make_clip"]
