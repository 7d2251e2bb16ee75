"""What a token of a stream has to do with others: targets that teach the text model to bind.

Two things are hard to learn from answers alone: that a thing is new rather than still there, and
which sound goes with which thing. Linear heads on a middle layer of the text model are trained to
say so, at the token where it first can be known; causality decides which side that is. The heads
are thrown away after training. Knows nothing about models.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from compressor.training.scenes import (
    COLOURS,
    FRAME_SIZE_PX,
    OTHER,
    SHAPES,
    SOUNDS,
    WORDS,
    Scene,
    Sound,
    Thing,
)
from compressor.training.visuals import shake

IGNORED = -100  # target of tokens that carry no loss
CHUNK_S = 2
MAX_ORDINAL = 7
_SIDE = 8  # tokens per side of a grid
_GRID = _SIDE * _SIDE
_AUDIO = 50
_CHUNK = 2 * _GRID + _AUDIO
_TOKEN_PX = FRAME_SIZE_PX / _SIDE
_TOKEN_S = 0.04
_CLEAR_S = 0.8
_WORD_S = 0.3  # every word lasts at least this

# classes per head, in the order of the label rows
HEADS = {
    "is_new": 2,
    "previous_colour": 1 + len(COLOURS),
    "previous_shape": 1 + len(SHAPES),
    "ordinal": 1 + MAX_ORDINAL,
    "ordinal_in_colour": 1 + MAX_ORDINAL,
    "ordinal_in_shape": 1 + MAX_ORDINAL,
    "earlier_sound": 1 + len(SOUNDS),
    "source_colour": 1 + len(COLOURS),
    "source_shape": 1 + len(SHAPES),
    "visible_colour": 1 + len(COLOURS),
    "word": 1 + len(WORDS),
    "previous_word": 1 + len(WORDS),
}
# of their losses, where not 1: counting is learned last
HEAD_WEIGHTS = {
    "is_new": 2.0,
    "ordinal": 3.0,
    "ordinal_in_colour": 3.0,
    "ordinal_in_shape": 3.0,
    "visible_colour": 2.0,
    "previous_word": 2.0,
}
_ROW = {name: row for row, name in enumerate(HEADS)}


def bound_labels(scene: Scene, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Label all tokens of a scene.

    Args:
        scene: Of an even number of seconds.
        times_s: When its frames are taken, `[2 T]`.

    Returns:
        `[H, 89 T]` int64, one row per head, tokens chunk by chunk (grid 1, grid 2, audio);
        `IGNORED` where a head has nothing to say. 0 stands for none.
    """
    num_chunks = round(scene.duration_s) // CHUNK_S
    labels = np.full((len(HEADS), num_chunks * _CHUNK), IGNORED, np.int64)
    debuts = [_debut(thing, times_s) for thing in scene.things]
    _label_things(labels, scene, times_s, debuts)
    _label_sounds(labels, scene, debuts)
    _label_words(labels, scene)
    return labels


def _debut(thing: Thing, times_s: NDArray[np.float64]) -> int | None:
    """The first frame that shows a thing."""
    seen = np.flatnonzero((times_s >= thing.start_s) & (times_s < thing.end_s))
    return int(seen[0]) if len(seen) else None


def _label_things(
    labels: NDArray[np.int64],
    scene: Scene,
    times_s: NDArray[np.float64],
    debuts: list[int | None],
) -> None:
    previous: Thing | None = None
    met: Counter[str] = Counter()
    shift = shake(scene.camera, times_s)
    made = {sound.source: sound for sound in scene.sounds if sound.source is not None}
    for index, (thing, debut) in enumerate(zip(scene.things, debuts, strict=True)):
        met.update(["all", f"colour {thing.colour}", f"shape {thing.shape}"])
        if debut is not None:
            seen = np.flatnonzero((times_s >= thing.start_s) & (times_s < thing.end_s))
            tokens = _tokens(thing.centre_px(times_s[seen]) - shift[seen], seen)
            labels[_ROW["is_new"], tokens] = 0
            first = labels[:, tokens[0]]
            first[_ROW["is_new"]] = 1
            first[_ROW["previous_colour"]] = 0 if previous is None else _colour(previous)
            first[_ROW["previous_shape"]] = 0 if previous is None else 1 + previous.shape
            counts = (met["all"], met[f"colour {thing.colour}"], met[f"shape {thing.shape}"])
            start = _ROW["ordinal"]
            first[start : start + 3] = np.minimum(counts, MAX_ORDINAL)
            if thing.colour == OTHER:
                first[_ROW["ordinal_in_colour"]] = IGNORED
            first[_ROW["earlier_sound"]] = _earlier_sound(thing, made.get(index), debut)
        previous = thing


def _colour(thing: Thing) -> int:
    return IGNORED if thing.colour == OTHER else 1 + thing.colour


def _earlier_sound(thing: Thing, sound: Sound | None, debut: int) -> int:
    """What the sound that came with a thing was, where its chunk is over by the thing's debut."""
    if thing.touches is not None:
        return IGNORED
    if sound is None:
        return 0
    return 1 + sound.kind if int(sound.start_s // CHUNK_S) < _chunk_of(debut) else IGNORED


def _chunk_of(frame: int) -> int:
    return frame // (2 * CHUNK_S)


def _tokens(centres: NDArray[np.float64], frames: NDArray[np.int64]) -> NDArray[np.int64]:
    cell = (centres / _TOKEN_PX).astype(np.int64).clip(0, _SIDE - 1)
    grid = frames // 2
    first = grid // 2 * _CHUNK + grid % 2 * _GRID
    tokens: NDArray[np.int64] = first + cell[:, 0] * _SIDE + cell[:, 1]
    return tokens


def _label_sounds(labels: NDArray[np.int64], scene: Scene, debuts: list[int | None]) -> None:
    for sound in scene.sounds:
        tokens = _heard(sound.start_s, sound.duration_s, scene.duration_s)
        chunk = int(sound.start_s // CHUNK_S)
        if sound.source is None:
            labels[_ROW["source_colour"], tokens] = 0
            labels[_ROW["source_shape"], tokens] = 0
            labels[_ROW["visible_colour"], tokens] = _visible_colour(scene, sound.start_s)
            continue
        source, debut = scene.things[sound.source], debuts[sound.source]
        if source.touches is None and debut is not None and _chunk_of(debut) == chunk:
            labels[_ROW["source_colour"], tokens] = _colour(source)
            labels[_ROW["source_shape"], tokens] = 1 + source.shape


def _label_words(labels: NDArray[np.int64], scene: Scene) -> None:
    previous = 0
    for word in scene.words:
        tokens = _heard(word.start_s, _WORD_S, scene.duration_s)
        labels[_ROW["visible_colour"], tokens] = _visible_colour(scene, word.start_s)
        labels[_ROW["word"], tokens] = 1 + word.index
        labels[_ROW["previous_word"], tokens] = previous
        previous = 1 + word.index


def _heard(start_s: float, duration_s: float, scene_s: float) -> NDArray[np.int64]:
    """The audio tokens of an event."""
    first = int(np.ceil((start_s - _TOKEN_S / 2) / _TOKEN_S))
    last = int((start_s + duration_s - _TOKEN_S / 2) / _TOKEN_S)
    steps = np.arange(first, max(first, last) + 1)
    steps = steps[steps < scene_s / _TOKEN_S]
    tokens: NDArray[np.int64] = steps // _AUDIO * _CHUNK + 2 * _GRID + steps % _AUDIO
    return tokens


def _visible_colour(scene: Scene, at_s: float) -> int:
    near = [t for t in scene.things if t.start_s < at_s + _CLEAR_S and t.end_s > at_s - _CLEAR_S]
    if not near:
        return 0
    is_clear = near[0].start_s < at_s - _CLEAR_S and near[0].end_s > at_s + _CLEAR_S
    return _colour(near[0]) if len(near) == 1 and is_clear else IGNORED


__all__ = ["HEADS", "HEAD_WEIGHTS", "IGNORED", "bound_labels"]
