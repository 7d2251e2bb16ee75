"""One small JPEG per chunk, for timelines. Knows nothing about where it is kept."""

from fractions import Fraction

import av
import numpy as np
from torch import Tensor

from compressor.omni.patches import resize

MAX_WIDTH_PX = 160
MIN_SIDE_PX = 16
CODEC = "mjpeg"
QUALITY = 8  # of 1 (best) to 31: about 5 kB at 160 x 90


def encode_thumbnail(picture: Tensor) -> bytes:
    """Encode a picture `[3, H, W]` uint8 as JPEG, at most 160 px wide."""
    height, width = picture.shape[1:]
    scale = min(1.0, MAX_WIDTH_PX / width)
    # even sides, since colour has half of the resolution
    small_height, small_width = (
        max(MIN_SIDE_PX, 2 * round(side * scale / 2)) for side in (height, width)
    )
    small = resize(picture[None], small_height, min(small_width, MAX_WIDTH_PX))[0]
    pixels = np.ascontiguousarray(small.permute(1, 2, 0).numpy())
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p")
    codec = av.CodecContext.create(CODEC, "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuvj420p"
    codec.time_base = Fraction(1)
    codec.options = {"global_quality": str(QUALITY * 118), "flags": "+qscale"}
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


__all__ = ["encode_thumbnail"]
