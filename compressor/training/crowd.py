"""Crowded scenes for perception alone: nine things at a time, a sound or a word every half second.

A tower learns what single tokens show from these in a fraction of the frames. Nothing sensible can
be asked about them. Knows nothing about rendering.
"""

from dataclasses import replace
from functools import partial

from numpy.random import Generator

from compressor.training.scenes import FRAME_SIZE_PX, Scene, Sound, Split, Thing, Word, scene_rng
from compressor.training.timeline import (
    MIN_SOUND_GAP_S,
    MIN_WORD_GAP_S,
    draw_ambience,
    draw_backdrops,
    draw_camera,
    draw_sound,
    draw_thing,
    draw_word,
)

_NOISE_SHARE = 0.5
_SIDE = 3  # cells per side, one thing in each
_CELL_PX = FRAME_SIZE_PX / _SIDE
_MARGIN_PX = 18.0  # things are drawn 14 px around their centre at most, and the camera shakes


def draw_crowd(split: Split, seed: int, duration_s: float, *, nameless_share: float = 0.0) -> Scene:
    """Draw one crowded scene; equal arguments give equal scenes.

    Args:
        split: Whose seeds and colour-shape pairs to use.
        seed: Number of the scene within the split.
        duration_s: Length.
        nameless_share: Share of things in colours without a name.
    """
    rng = scene_rng(split, seed)
    draw_looks = partial(draw_thing, rng, nameless_share, split is Split.TEST)
    things = [
        _wander_in_cell(rng, draw_looks(0.0, duration_s), cell) for cell in range(_SIDE * _SIDE)
    ]
    sounds, words = _noises(rng, duration_s)
    return Scene(
        seed=seed,
        duration_s=duration_s,
        things=tuple(things),
        sounds=tuple(sounds),
        backdrops=draw_backdrops(rng, duration_s),
        camera=draw_camera(rng),
        ambience=draw_ambience(rng, _NOISE_SHARE),
        words=tuple(words),
    )


def _wander_in_cell(rng: Generator, thing: Thing, cell: int) -> Thing:
    row, column = divmod(cell, _SIDE)
    (y0, x0), (y1, x1) = rng.uniform(_MARGIN_PX, _CELL_PX - _MARGIN_PX, (2, 2))
    life_s = thing.end_s - thing.start_s
    return replace(
        thing,
        start_px=(row * _CELL_PX + float(y0), column * _CELL_PX + float(x0)),
        velocity_px_s=(float(y1 - y0) / life_s, float(x1 - x0) / life_s),
        rest_s=thing.end_s,
    )


def _noises(rng: Generator, duration_s: float) -> tuple[list[Sound], list[Word]]:
    sounds: list[Sound] = []
    words: list[Word] = []
    now = float(rng.uniform(0.05, 0.5))
    while now < duration_s - MIN_WORD_GAP_S:
        if rng.random() < 0.5:
            words.append(draw_word(rng, now))
            now += MIN_WORD_GAP_S
        else:
            sounds.append(draw_sound(rng, now))
            now += MIN_SOUND_GAP_S
        now += float(rng.uniform(0.0, 0.3))
    return sounds, words


__all__ = ["draw_crowd"]
