"""Looks that training never shows, composed of looks that it does.

A token of a thing is nearly its colour's effect plus its shape's (docs/experiments.md). So what a
red square would be is what a red circle and a green square are together, less a green circle, all
three rendered at the same place under the same light. The text model then reads of looks that no
tower was ever shown in training. Knows nothing about questions.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from compressor.training.batches import FRAMES_PER_S, Batch
from compressor.training.scenes import COLOURS, SHAPES, UNSEEN_PAIRS
from compressor.training.step import Studio
from compressor.training.student import Student, Tokens
from compressor.training.visuals import COLOUR_RGB, FrameScript

_SHAPE, _RGB, _COLOUR = 4, slice(5, 8), 8  # columns of a stamp


def encode(student: Student, studio: Studio, batch: Batch, film: int) -> Tokens:
    """Render and encode a batch, looks of `UNSEEN_PAIRS` by composition.

    Args:
        student: Whose towers.
        studio: What renders.
        batch: Of any scenes.
        film: See `Studio.load`.
    """
    is_unseen = find_unseen(batch.frames)
    base, *others = stand_ins(batch.frames, is_unseen, np.random.default_rng(film))
    studio.load(film)
    tokens = student.encode(*studio.shoot(replace(batch, frames=base)))
    grids = np.unique(batch.frames.stamps[is_unseen, 0].astype(np.int64) // FRAMES_PER_S)
    if not len(grids):
        return tokens
    video = tokens.video.flatten(0, 2).clone()
    composed = -video[grids]
    for script in others:
        studio.load(film)
        patches = studio.picture(script, len(batch.tails), grids=grids)
        composed = composed + student.vision(patches)
    video[grids] = composed
    return Tokens(video.view_as(tokens.video), tokens.audio)


def find_unseen(script: FrameScript) -> NDArray[np.bool_]:
    """Which stamps show a look of `UNSEEN_PAIRS`, `[M]`."""
    found = np.zeros(len(script.stamps), np.bool_)
    for colour, shape in UNSEEN_PAIRS:
        found |= (script.stamps[:, _COLOUR] == colour) & (script.stamps[:, _SHAPE] == shape)
    return found


def stand_ins(
    script: FrameScript, is_unseen: NDArray[np.bool_], rng: Generator
) -> tuple[FrameScript, FrameScript, FrameScript]:
    """Replace unseen looks by seen ones: in colour and shape, in shape, in colour.

    For each unseen pair another pair is drawn with which neither corner is unseen.
    """
    other = script.stamps.copy()
    for colour, shape in sorted(UNSEEN_PAIRS):
        looks = script.stamps[:, [_COLOUR, _SHAPE]]
        rows = is_unseen & (looks == (colour, shape)).all(1)
        new_colour, new_shape = _other(colour, shape, rng)
        other[rows, _COLOUR], other[rows, _SHAPE] = new_colour, new_shape
        other[rows, _RGB] += _paint(new_colour) - _paint(colour)
    in_shape, in_colour = script.stamps.copy(), other.copy()
    in_shape[:, _SHAPE] = other[:, _SHAPE]
    in_colour[:, _SHAPE] = script.stamps[:, _SHAPE]
    return (
        replace(script, stamps=other),
        replace(script, stamps=in_shape),
        replace(script, stamps=in_colour),
    )


def _other(colour: int, shape: int, rng: Generator) -> tuple[int, int]:
    pairs = [
        (c, s)
        for c in range(len(COLOURS))
        for s in range(len(SHAPES))
        if c != colour and s != shape and UNSEEN_PAIRS.isdisjoint({(c, s), (colour, s), (c, shape)})
    ]
    return pairs[rng.integers(len(pairs))]


def _paint(colour: int) -> NDArray[np.float32]:
    return np.array(COLOUR_RGB[COLOURS[colour]], dtype=np.float32)


__all__ = ["encode", "find_unseen", "stand_ins"]
