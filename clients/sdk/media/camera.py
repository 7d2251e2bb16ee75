"""A camera and a microphone as a source, by FFmpeg's devices. Knows nothing about sending."""

import errno
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
from av import AudioFrame, VideoFrame
from av.container import InputContainer

from clients.sdk.errors import SourceUnavailable
from clients.sdk.media.framing import AudioFramer, VideoFitter, VideoLimits
from clients.sdk.media.source import F, FrameReader, Source

ALSA_CONFIG = Path("/usr/share/alsa/alsa.conf")
DEVICE_LIMIT_S = 5.0  # a device that is silent for longer has been unplugged

Clock = Callable[[], float]
_ADVICE = {
    errno.ENOENT: " (is it plugged in? ls /dev/video*)",
    errno.EACCES: " (add yourself to group video or audio: sudo usermod -aG video,audio $USER)",
    errno.EBUSY: " (another program uses it: close that)",
}


@dataclass(frozen=True, slots=True)
class Devices:
    """Which devices to open; formats are names of FFmpeg's input devices.

    Attributes:
        camera: None for sound alone.
        microphone: None for pictures alone.
    """

    camera: str | None = "/dev/video0"
    microphone: str | None = "default"
    camera_format: str = "v4l2"
    microphone_format: str = "alsa"


def open_camera(
    devices: Devices | None = None,
    *,
    limits: VideoLimits | None = None,
    now: Clock = time.monotonic,
) -> Source:
    """Open a camera and a microphone.

    Raises:
        SourceUnavailable: One of them is absent, busy, or not allowed to this user.
    """
    devices = devices or Devices()
    limits = limits or VideoLimits()
    with ExitStack() as opened:
        video = audio = None
        if devices.camera is not None:
            camera = opened.enter_context(_open(devices.camera, devices.camera_format, "camera"))
        if devices.microphone is not None:
            microphone = opened.enter_context(_open_microphone(devices))
        # one origin for both: what arrives together belongs together
        start_s = now()
        if devices.camera is not None:
            video = FrameReader(_video(camera, limits, now, start_s), release=camera.close)
        if devices.microphone is not None:
            audio = FrameReader(_audio(microphone, now, start_s), release=microphone.close)
        opened.pop_all()
    return Source("camera", video, audio, is_live=True)


def _open_microphone(devices: Devices) -> InputContainer:
    if devices.microphone_format == "alsa":
        _point_alsa_to_its_configuration()
        if not any(Path("/dev/snd").glob("pcmC*c")):
            raise SourceUnavailable("there is no microphone; publish without one")
    return _open(str(devices.microphone), devices.microphone_format, "microphone")


def _open(device: str, format_: str, what: str) -> InputContainer:
    try:
        return av.open(device, mode="r", format=format_, timeout=DEVICE_LIMIT_S)
    except (av.FFmpegError, OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        advice = _ADVICE.get(getattr(exc, "errno", None) or 0, "")
        raise SourceUnavailable(f"{what} {device!r} cannot be opened: {reason}{advice}") from exc


def _point_alsa_to_its_configuration() -> None:
    # the wheel's own ALSA looks where it was built, which is on no user's machine
    if ALSA_CONFIG.exists():
        os.environ.setdefault("ALSA_CONFIG_PATH", str(ALSA_CONFIG))  # noqa: TID251 - for a C library


def _video(
    container: InputContainer, limits: VideoLimits, now: Clock, start_s: float
) -> Generator[VideoFrame, None, None]:
    fitter = VideoFitter(limits)
    origin_s = None
    for frame in _until_unplugged(container.decode(video=0)):
        if frame.pts is None:
            continue
        if origin_s is None:
            origin_s = now() - start_s - frame.time
        fitted = fitter.fit(frame, origin_s + frame.time)
        if fitted is not None:
            yield fitted


def _audio(
    container: InputContainer, now: Clock, start_s: float
) -> Generator[AudioFrame, None, None]:
    framer = AudioFramer()
    origin_s = None
    for frame in _until_unplugged(container.decode(audio=0)):
        if frame.time is None:
            continue
        if origin_s is None:
            # sound arrives when its last sample is there
            origin_s = now() - start_s - frame.time - frame.samples / frame.sample_rate
        yield from framer.push(frame, origin_s + frame.time)
    yield from framer.flush()


def _until_unplugged(frames: Iterator[F]) -> Iterator[F]:
    try:
        yield from frames
    except (av.FFmpegError, OSError) as exc:
        raise SourceUnavailable(f"the device is gone: {exc}") from exc
