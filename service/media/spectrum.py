"""Log-mel features of a live track, chunk by chunk. Pure; knows not when a chunk is complete."""

import torch
from torch import Tensor

from compressor.omni.mel import HOP_SAMPLES, LOOK_AHEAD_SAMPLES, StreamingMel
from service.media.audio import SAMPLES_PER_CHUNK, AudioTrack

# the last frame of a chunk is centred one hop before its end
LOOK_BEYOND_SAMPLES = LOOK_AHEAD_SAMPLES - HOP_SAMPLES


class MelBlocks:
    """The mel frames of chunk after chunk, as one transform over the whole stream gives them.

    After chunks without audio the stream starts anew; only its loudness is remembered.
    """

    def __init__(self) -> None:
        self._mel = StreamingMel()
        self._position = -1  # of the next sample to push

    def block(self, index: int, track: AudioTrack) -> Tensor:
        """The 200 frames `[128, 200]` of a chunk; looks 2.5 ms beyond its end."""
        self._seek(index)
        return self._push(track, (index + 1) * SAMPLES_PER_CHUNK + LOOK_BEYOND_SAMPLES)

    def tail(self, index: int, track: AudioTrack, stop: int) -> Tensor:
        """The frames `[128, F]` of a chunk whose audio ends for good at position `stop`."""
        self._seek(index)
        frames = self._push(track, stop)
        self._position = -1
        return torch.cat([frames, self._mel.flush()], dim=1)

    def _seek(self, index: int) -> None:
        start = index * SAMPLES_PER_CHUNK
        if self._position != start + LOOK_BEYOND_SAMPLES:
            self._mel.reset()
            self._position = start

    def _push(self, track: AudioTrack, stop: int) -> Tensor:
        samples = track.read(self._position, stop)
        self._position = stop
        return self._mel.push(samples)


__all__ = ["LOOK_BEYOND_SAMPLES", "MelBlocks"]
