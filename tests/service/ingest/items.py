"""Items as a publisher pushes them."""

import torch

from service.ingest.source import Picture, Sound
from tests.media import make_pixels


def make_picture(at_s: float, *, arrived_s: float | None = None, value: int = 0) -> Picture:
    arrived = at_s if arrived_s is None else arrived_s
    return Picture(at_s, arrived, lambda: make_pixels(value))


def make_sound(at_s: float, *, duration_s: float = 0.02, arrived_s: float | None = None) -> Sound:
    samples = torch.full((round(duration_s * 16_000),), 0.5)
    return Sound(at_s, at_s if arrived_s is None else arrived_s, lambda: samples)
