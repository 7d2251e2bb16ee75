"""Writes a scene as an mp4 file, as smooth as a camera would: the impure edge of the renderers.

Knows nothing about questions or models.
"""

from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from compressor.training.scenes import FRAME_SIZE_PX, Scene
from compressor.training.sounds import SAMPLE_RATE_HZ, mix, pack_sounds
from compressor.training.visuals import Renderer, pack_frames

_FRAMES_AT_ONCE = 50
_AUDIO_FRAME = 1024  # samples per AAC packet


def write_mp4(scene: Scene, path: Path, fps: int = 25, bitrate: int = 800_000) -> None:
    """Film a scene: H.264 at 224 px and AAC at 16 kHz.

    The file shows and plays the very scene that training renders at two frames a second.

    Args:
        scene: What happens.
        path: Where to; replaced if there.
        fps: Frames per second.
        bitrate: Of the video, bits per second.
    """
    generator = torch.Generator().manual_seed(scene.seed % 2**31)
    wave = mix(pack_sounds([scene]), generator, "cpu")[0].numpy()
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width = video.height = FRAME_SIZE_PX
        video.pix_fmt = "yuv420p"
        video.bit_rate = bitrate
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        _film(container, video, scene, fps, generator)
        _record(container, audio, wave)


def _film(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    scene: Scene,
    fps: int,
    generator: torch.Generator,
) -> None:
    renderer = Renderer()
    times_s = np.arange(round(scene.duration_s * fps)) / fps
    for start in range(0, len(times_s), _FRAMES_AT_ONCE):
        script = pack_frames([scene], [times_s[start : start + _FRAMES_AT_ONCE]])
        for pixels in renderer.render(script, generator).permute(0, 2, 3, 1).numpy():
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _record(
    container: av.container.OutputContainer, stream: av.AudioStream, wave: NDArray[np.float32]
) -> None:
    for start in range(0, len(wave), _AUDIO_FRAME):
        samples = np.ascontiguousarray(wave[None, start : start + _AUDIO_FRAME])
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


__all__ = ["write_mp4"]
