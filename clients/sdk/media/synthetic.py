"""A made-up scene as a source: coloured shapes moving on a textured ground, and tones.

A pure function of time and seed; needs no hardware. Every 2 s another shape, in another colour,
with another sound.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count

import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from clients.sdk.media.framing import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    Samples,
    stamp_audio,
    stamp_video,
)
from clients.sdk.media.source import FrameReader, Source

WIDTH_PX, HEIGHT_PX = 448, 336
FRAME_RATE_HZ = 15
ACT_S = 2.0
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 215, 50),
    "purple": (170, 60, 200),
    "cyan": (60, 210, 220),
}
SHAPES = ("square", "circle", "triangle", "cross", "ring")
TONES_HZ = {"low": 320.0, "high": 1500.0, "none": 0.0}
RADIUS_PX = 44

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Act:
    """What is on for 2 s: a name each of `COLOURS`, `SHAPES` and `TONES_HZ`."""

    colour: str
    shape: str
    tone: str


class Scene:
    """The picture and the sound at any time, the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._ground = _ground(np.random.default_rng(seed))
        self._masks = {shape: _mask(shape) for shape in SHAPES}

    def act(self, time_s: float) -> Act:
        """What is on at `time_s`, 0 or more."""
        draw = np.random.default_rng((self._seed, int(time_s // ACT_S)))
        return Act(
            str(draw.choice(list(COLOURS))),
            str(draw.choice(list(SHAPES))),
            str(draw.choice(list(TONES_HZ))),
        )

    def picture(self, time_s: float) -> Pixels:
        """RGB `[HEIGHT_PX, WIDTH_PX, 3]` at `time_s`."""
        act = self.act(time_s)
        pixels = self._ground.copy()
        # frequencies without a common period: the path does not repeat soon
        x = round((0.5 + 0.36 * math.sin(0.9 * time_s)) * WIDTH_PX)
        y = round((0.5 + 0.33 * math.sin(1.3 * time_s + 1.0)) * HEIGHT_PX)
        window = pixels[y - RADIUS_PX : y + RADIUS_PX, x - RADIUS_PX : x + RADIUS_PX]
        window[self._masks[act.shape]] = COLOURS[act.colour]
        return pixels

    def sound(self, first_sample: int, num_samples: int) -> Samples:
        """Mono s16 `[S]` at 48 kHz; an act's tone fills its middle second."""
        times_s = (first_sample + np.arange(num_samples)) / SAMPLE_RATE_HZ
        tone_hz = TONES_HZ[self.act(first_sample / SAMPLE_RATE_HZ).tone]
        in_act_s = times_s % ACT_S
        # 20 ms ramps: a tone that starts at full level clicks
        level = np.clip(np.minimum(in_act_s - 0.5, 1.5 - in_act_s) / 0.02, 0, 1)
        wave = 8000 * level * np.sin(2 * np.pi * tone_hz * times_s)
        return wave.astype(np.int16)


def open_synthetic(seed: int = 0) -> Source:
    """The scene without end."""
    scene = Scene(seed)
    return Source(f"synthetic scene {seed}", FrameReader(_video(scene)), FrameReader(_audio(scene)))


def _video(scene: Scene) -> Generator[VideoFrame, None, None]:
    for index in count():
        time_s = index / FRAME_RATE_HZ
        frame = VideoFrame.from_ndarray(scene.picture(time_s), format="rgb24")
        yield stamp_video(frame.reformat(format="yuv420p"), time_s)


def _audio(scene: Scene) -> Generator[AudioFrame, None, None]:
    for first_sample in count(0, FRAME_SAMPLES):
        yield stamp_audio(scene.sound(first_sample, FRAME_SAMPLES), first_sample)


def _ground(draw: np.random.Generator) -> Pixels:
    coarse = draw.uniform(70, 160, (6, 8, 3))
    grey = coarse.mean(axis=2, keepdims=True)
    muted = grey + 0.35 * (coarse - grey)
    tiles = np.kron(muted, np.ones((HEIGHT_PX // 6, WIDTH_PX // 8, 1)))
    grain = draw.normal(0, 9, (HEIGHT_PX, WIDTH_PX, 1))
    return np.clip(tiles + grain, 0, 255).astype(np.uint8)


def _mask(shape: str) -> NDArray[np.bool_]:
    y, x = np.mgrid[-RADIUS_PX:RADIUS_PX, -RADIUS_PX:RADIUS_PX] / RADIUS_PX
    distance = np.hypot(x, y)
    masks: dict[str, NDArray[np.bool_]] = {
        "square": (abs(x) < 0.85) & (abs(y) < 0.85),
        "circle": distance < 0.95,
        "triangle": (y < 0.8) & (abs(x) < (y + 0.95) * 0.55),
        "cross": ((abs(x) < 0.3) | (abs(y) < 0.3)) & (distance < 0.98),
        "ring": (distance < 0.95) & (distance > 0.55),
    }
    return masks[shape]
