"""What happens in a synthetic audio-video clip: objects, sounds, camera and light, as plain values.

A scene is a script, not media: `visuals` and `sounds` render it at any frame rate, `questions`
knows what can be asked about it. Knows nothing about pixels, samples, tokens or models.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FRAME_SIZE_PX = 224
COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan")
OTHER = len(COLOURS)  # a colour without a name: nothing is asked about it
SHAPES = ("square", "circle", "triangle", "cross", "ring")
SOUNDS = ("beep", "thud", "hiss", "chirp", "buzz", "bell")
WORDS = ("hello", "open", "ready", "seven", "stop", "water")
NUM_VOICES = 5
# never together in training or validation: the test split shows what the model composes
UNSEEN_PAIRS = frozenset({(0, 0), (1, 2), (2, 4), (3, 1), (4, 3)})


class Split(IntEnum):
    """Which seeds a scene is drawn from; splits never share one."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


@dataclass(frozen=True, slots=True)
class Thing:
    """One coloured shape and its life on screen.

    Attributes:
        colour: Index into `COLOURS`, or `OTHER`.
        shape: Index into `SHAPES`.
        radius_px: 10 to 14: about one token of 28 px.
        start_s: When it appears.
        end_s: When it disappears.
        start_px: Centre (y, x) at `start_s`.
        velocity_px_s: Speed (y, x) until `rest_s`.
        rest_s: When it stops moving.
        touches: Index of the thing that it has reached at `rest_s`, None if it reaches none.
    """

    colour: int
    shape: int
    radius_px: float
    start_s: float
    end_s: float
    start_px: tuple[float, float]
    velocity_px_s: tuple[float, float] = (0.0, 0.0)
    rest_s: float = 0.0
    touches: int | None = None

    def centre_px(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centres `[F, 2]` (y, x) at the given times, on screen or not."""
        moved = np.clip(times_s, self.start_s, max(self.rest_s, self.start_s)) - self.start_s
        centre: NDArray[np.float64] = np.add(
            self.start_px, moved[:, None] * np.asarray(self.velocity_px_s)
        )
        return centre


@dataclass(frozen=True, slots=True)
class Sound:
    """One short sound.

    Attributes:
        kind: Index into `SOUNDS`.
        start_s: Onset.
        duration_s: 0.06 to 0.25.
        pitch: Relative frequency, about 1.
        level: Peak amplitude.
        seed: Of its noise.
        source: Index of the thing that makes it by appearing or touching; None off screen.
    """

    kind: int
    start_s: float
    duration_s: float
    pitch: float
    level: float
    seed: int
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; nobody who speaks is ever on screen.

    Attributes:
        index: Into `WORDS`.
        start_s: Onset.
        voice: 0 to `NUM_VOICES` - 1.
        rate: Relative speed and pitch, about 1.
        level: Peak amplitude.
    """

    index: int
    start_s: float
    voice: int
    rate: float
    level: float


@dataclass(frozen=True, slots=True)
class Backdrop:
    """The still part of the picture between two cuts.

    Attributes:
        start_s: When it comes into view.
        tint: Coarse colours `[3, 8, 8]` in 0-255, smoothly interpolated.
        texture: Which fine texture, and its offset (bank index, y, x).
        props: Dull, motionless clutter `[n, 7]`: centre y, x, radius, squareness, r, g, b.
    """

    start_s: float
    tint: NDArray[np.float32]
    texture: tuple[int, int, int]
    props: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """Light, noise and shake.

    Attributes:
        drift: Relative brightness swing, and its period in seconds and phase in radians.
        tint_drift: The same swing per colour channel.
        noise: Standard deviation of sensor noise, 0-255 scale.
        shake_px: Amplitude of hand shake.
        phases: Four phases of the shake, radians.
    """

    drift: tuple[float, float, float]
    tint_drift: tuple[float, float, float]
    noise: float
    shake_px: float
    phases: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Ambience:
    """Background sound that nothing is asked about.

    Attributes:
        hiss: Level of white noise; all levels are linear.
        hum: Level of mains hum.
        hum_hz: Its frequency.
        wind: Level of low noise.
        murmur: Level of speech-like noise.
        music: Level of a melody of soft notes.
        clatter: Level of clicks, as of a keyboard.
    """

    hiss: float
    hum: float
    hum_hz: float
    wind: float
    murmur: float
    music: float = 0.0
    clatter: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole clip: `duration_s` seconds of things, sounds, words and their surroundings."""

    seed: int
    duration_s: float
    things: tuple[Thing, ...]
    sounds: tuple[Sound, ...]
    backdrops: tuple[Backdrop, ...]
    camera: Camera
    ambience: Ambience
    words: tuple[Word, ...] = ()


def scene_rng(split: Split, seed: int) -> np.random.Generator:
    """The generator of scene `seed` of a split; no two splits share a stream."""
    return np.random.default_rng(np.random.SeedSequence([int(split), seed]))


__all__ = [
    "COLOURS",
    "FRAME_SIZE_PX",
    "NUM_VOICES",
    "OTHER",
    "SHAPES",
    "SOUNDS",
    "UNSEEN_PAIRS",
    "WORDS",
    "Ambience",
    "Backdrop",
    "Camera",
    "Scene",
    "Sound",
    "Split",
    "Thing",
    "Word",
    "scene_rng",
]
