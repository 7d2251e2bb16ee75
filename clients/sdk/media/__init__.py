"""Sources of media for publishing. Needs aiortc, PyAV and numpy, as `clients.sdk` does not."""

from clients.sdk.media.camera import open_camera
from clients.sdk.media.file import open_file
from clients.sdk.media.framing import VideoLimits
from clients.sdk.media.source import FrameReader, Source
from clients.sdk.media.synthetic import open_synthetic

__all__ = [
    "FrameReader",
    "Source",
    "VideoLimits",
    "open_camera",
    "open_file",
    "open_synthetic",
]
