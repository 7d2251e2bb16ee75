"""Draws scenes at random: when things appear, move and touch, and what is heard meanwhile.

Spacing rules keep every answer unambiguous at two frames a second: appearances are at least
`MIN_APPEARANCE_GAP_S` apart, a sound is either simultaneous with one or well away from all, and
nothing is heard while a word is spoken.
Knows nothing about rendering or questions.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.random import Generator

from compressor.training.scenes import (
    COLOURS,
    FRAME_SIZE_PX,
    NUM_VOICES,
    OTHER,
    SHAPES,
    SOUNDS,
    UNSEEN_PAIRS,
    WORDS,
    Ambience,
    Backdrop,
    Camera,
    Scene,
    Sound,
    Split,
    Thing,
    Word,
    scene_rng,
)

MIN_APPEARANCE_GAP_S = 1.3
MIN_SOUND_GAP_S = 0.5
MIN_OFF_SCREEN_GAP_S = 1.0
MIN_WORD_GAP_S = 0.9  # longer than any word lasts
MAX_EVENTS = 14  # expected appearances of the longest clips: more of them, less to ask
MAX_ALIVE = 3
MARGIN_PX = 18.0
CLEARANCE_PX = 14.0
TEXTURE_BANK = 8
TEXTURE_SLACK_PX = 32
Looks = Callable[[float, float], Thing]  # draws a thing by when it appears and disappears


def draw_scene(
    split: Split,
    seed: int,
    duration_s: float,
    *,
    nameless_share: float = 0.0,
    speech_share: float = 0.0,
    noise_share: float = 0.0,
    has_all_pairs: bool = False,
) -> Scene:
    """Draw one scene; equal arguments give equal scenes.

    Args:
        split: Whose seeds to use.
        seed: Number of the scene within the split.
        duration_s: Length, at least 4.
        nameless_share: Share of things in colours without a name: they teach shape apart from the
            colours that have one.
        speech_share: Share of scenes in which words are spoken.
        noise_share: Share of scenes with music or clicks in the background.
        has_all_pairs: Whether looks of `UNSEEN_PAIRS` occur, as they do in the test split.

    Raises:
        ValueError: On a duration under 4 s.
    """
    if duration_s < 4.0:
        raise ValueError(f"a scene lasts at least 4 s, got {duration_s}")
    rng = scene_rng(split, seed)
    draw_looks = partial(draw_thing, rng, nameless_share, has_all_pairs or split is Split.TEST)
    things, sounds = _things(rng, draw_looks, duration_s)
    sounds = _with_off_screen(rng, things, sounds, duration_s)
    # the order of draws is part of what a seed means: whatever is new comes last
    return Scene(
        seed=seed,
        duration_s=duration_s,
        things=tuple(things),
        sounds=tuple(sorted(sounds, key=lambda sound: sound.start_s)),
        backdrops=draw_backdrops(rng, duration_s),
        camera=draw_camera(rng),
        ambience=draw_ambience(rng, noise_share),
        words=tuple(_words(rng, sounds, duration_s) if rng.random() < speech_share else ()),
    )


def _things(
    rng: Generator, draw_looks: Looks, duration_s: float
) -> tuple[list[Thing], list[Sound]]:
    things: list[Thing] = []
    sounds: list[Sound] = []
    mean_gap_s = max(rng.uniform(1.4, 2.6), duration_s / MAX_EVENTS)
    now = rng.uniform(0.1, 1.2)
    while now < duration_s - 1.2:
        thing = _place(rng, draw_looks, things, now, duration_s)
        if thing is not None:
            things.append(thing)
            sounds.extend(_sound_of(rng, thing, len(things) - 1))
        moment = now if thing is None or thing.touches is None else thing.rest_s
        now = moment + MIN_APPEARANCE_GAP_S + rng.exponential(mean_gap_s - MIN_APPEARANCE_GAP_S)
        if duration_s > 12 and rng.random() < 0.08:
            now += rng.uniform(4.0, 10.0)
    return things, sounds


def _sound_of(rng: Generator, thing: Thing, index: int) -> list[Sound]:
    if rng.random() > 0.5:
        return []
    moment = thing.start_s if thing.touches is None else thing.rest_s
    return [draw_sound(rng, moment + rng.uniform(0.0, 0.06), source=index)]


def draw_sound(rng: Generator, start_s: float, source: int | None = None) -> Sound:
    """Draw one short sound of any kind."""
    return Sound(
        kind=int(rng.integers(len(SOUNDS))),
        start_s=start_s,
        duration_s=float(rng.uniform(0.06, 0.25)),
        pitch=float(rng.uniform(0.88, 1.12)),
        level=float(np.exp(rng.uniform(np.log(0.08), np.log(0.5)))),
        seed=int(rng.integers(2**31)),
        source=source,
    )


def _place(
    rng: Generator, draw_looks: Looks, things: list[Thing], now: float, duration_s: float
) -> Thing | None:
    alive = [i for i, thing in enumerate(things) if thing.end_s > now - 0.1]
    if len(alive) >= MAX_ALIVE:
        return None
    life_s = rng.uniform(1.3, 6.0)
    thing = draw_looks(now, min(now + life_s, duration_s))
    targets = [i for i in alive if _can_be_touched(things[i], now)]
    if targets and rng.random() < 0.6:
        target = int(rng.choice(targets))
        tries = (_approach(rng, thing, things, target) for _ in range(8))
        if (found := next((one for one in tries if one is not None), None)) is not None:
            return found
    for _ in range(12):
        placed = _wander(rng, thing) if rng.random() < 0.4 else _stand(rng, thing)
        if _is_clear(placed, [things[i] for i in alive]):
            return placed
    return None


def draw_thing(
    rng: Generator, nameless_share: float, has_all_pairs: bool, start_s: float, end_s: float
) -> Thing:
    """Draw the looks of a thing; where it stands is still to be said."""
    while True:
        colour, shape = int(rng.integers(len(COLOURS))), int(rng.integers(len(SHAPES)))
        colour = OTHER if rng.random() < nameless_share else colour
        if has_all_pairs or (colour, shape) not in UNSEEN_PAIRS:
            break
    radius_px = float(rng.uniform(10.0, 14.0))
    return Thing(colour, shape, radius_px, start_s, end_s, (0.0, 0.0), rest_s=start_s)


def _spot(rng: Generator) -> tuple[float, float]:
    y, x = rng.uniform(MARGIN_PX, FRAME_SIZE_PX - MARGIN_PX, 2)
    return float(y), float(x)


def _stand(rng: Generator, thing: Thing) -> Thing:
    return replace(thing, start_px=_spot(rng))


def _wander(rng: Generator, thing: Thing) -> Thing:
    start, goal = _spot(rng), _spot(rng)
    way = np.subtract(goal, start)
    speed = min(1.0, rng.uniform(8.0, 30.0) * (thing.end_s - thing.start_s) / np.hypot(*way))
    y, x = way * speed / (thing.end_s - thing.start_s)
    return replace(thing, start_px=start, velocity_px_s=(float(y), float(x)), rest_s=thing.end_s)


def _can_be_touched(thing: Thing, now: float) -> bool:
    return thing.velocity_px_s == (0.0, 0.0) and thing.end_s - now > 2.2 and thing.touches is None


def _approach(rng: Generator, thing: Thing, things: list[Thing], target: int) -> Thing | None:
    goal = things[target]
    angle, travel_s = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.2)
    direction = np.array([np.sin(angle), np.cos(angle)])
    contact = np.asarray(goal.start_px) + direction * 0.92 * (goal.radius_px + thing.radius_px)
    start = contact + direction * rng.uniform(36.0, 64.0)
    if not np.all((start > MARGIN_PX) & (start < FRAME_SIZE_PX - MARGIN_PX)):
        return None
    y, x = (contact - start) / travel_s
    moved = replace(
        thing,
        end_s=goal.end_s,
        start_px=(float(start[0]), float(start[1])),
        velocity_px_s=(float(y), float(x)),
        rest_s=thing.start_s + travel_s,
        touches=target,
    )
    others = [other for i, other in enumerate(things) if i != target]
    return moved if _is_clear(moved, others) else None


def _is_clear(thing: Thing, others: list[Thing]) -> bool:
    times_s = np.arange(thing.start_s, thing.end_s + 0.25, 0.25)
    centres = thing.centre_px(times_s)
    for other in others:
        shared = (times_s >= other.start_s - 0.25) & (times_s <= other.end_s + 0.25)
        gap = np.linalg.norm(centres[shared] - other.centre_px(times_s[shared]), axis=1)
        if np.any(gap < thing.radius_px + other.radius_px + CLEARANCE_PX):
            return False
    return True


def _with_off_screen(
    rng: Generator, things: list[Thing], sounds: list[Sound], duration_s: float
) -> list[Sound]:
    moments = np.array(
        [t.start_s for t in things] + [t.rest_s for t in things if t.touches is not None]
    )
    mean_gap_s = max(rng.uniform(0.8, 4.0), duration_s / MAX_EVENTS)
    now = rng.exponential(mean_gap_s) + 0.1
    found = list(sounds)
    while now < duration_s - 0.4:
        taken = np.array([sound.start_s for sound in found])
        is_apart = not np.any(np.abs(taken - now) < MIN_SOUND_GAP_S)
        if is_apart and not np.any(np.abs(moments - now) < MIN_OFF_SCREEN_GAP_S):
            found.append(draw_sound(rng, now))
        now += MIN_SOUND_GAP_S + rng.exponential(mean_gap_s)
    return found


def draw_word(rng: Generator, start_s: float) -> Word:
    """Draw one spoken word."""
    return Word(
        index=int(rng.integers(len(WORDS))),
        start_s=start_s,
        voice=int(rng.integers(NUM_VOICES)),
        rate=float(rng.uniform(0.9, 1.15)),
        level=float(np.exp(rng.uniform(np.log(0.1), np.log(0.5)))),
    )


def _words(rng: Generator, sounds: list[Sound], duration_s: float) -> list[Word]:
    """Speak between the sounds."""
    starts = np.array([sound.start_s for sound in sounds])
    mean_gap_s = max(rng.uniform(1.0, 5.0), duration_s / MAX_EVENTS)
    now = rng.exponential(mean_gap_s) + 0.1
    found: list[Word] = []
    while now < duration_s - MIN_WORD_GAP_S:
        if not np.any((starts > now - MIN_SOUND_GAP_S) & (starts < now + MIN_WORD_GAP_S)):
            found.append(draw_word(rng, now))
        now += MIN_WORD_GAP_S + rng.exponential(mean_gap_s)
    return found


def draw_backdrops(rng: Generator, duration_s: float) -> tuple[Backdrop, ...]:
    """Draw what stands still, with a cut or two in three of ten scenes."""
    cuts = [0.0]
    if rng.random() < 0.3:
        cuts.extend(np.sort(rng.uniform(1.0, duration_s - 1.0, 1 + int(duration_s > 20))).tolist())
    return tuple(_backdrop(rng, start_s) for start_s in cuts)


def _backdrop(rng: Generator, start_s: float) -> Backdrop:
    low, high = rng.uniform(40, 90), rng.uniform(110, 180)
    tint = rng.uniform(low, high, (3, 8, 8))
    grey = tint.mean(0, keepdims=True)
    tint = grey + (tint - grey) * rng.uniform(0.15, 0.45)
    num_props = int(rng.integers(2, 8))
    colour = rng.uniform(35, 190, (num_props, 1)) + rng.uniform(-16, 16, (num_props, 3))
    place = rng.uniform(0, FRAME_SIZE_PX, (num_props, 2))
    size = rng.uniform(5, 22, (num_props, 1))
    square = rng.uniform(0.5, 1.0, (num_props, 1))
    bank, y, x = rng.integers([TEXTURE_BANK, TEXTURE_SLACK_PX, TEXTURE_SLACK_PX])
    props = np.concatenate([place, size, square, colour], axis=1).astype(np.float32)
    return Backdrop(start_s, tint.astype(np.float32), (int(bank), int(y), int(x)), props)


def draw_camera(rng: Generator) -> Camera:
    """Draw light, noise and shake."""
    red, green, blue = rng.normal(1.0, 0.25, 3)
    p0, p1, p2, p3 = rng.uniform(0, 2 * np.pi, 4)
    return Camera(
        drift=(rng.uniform(0.0, 0.1), rng.uniform(8.0, 40.0), rng.uniform(0, 2 * np.pi)),
        tint_drift=(float(red), float(green), float(blue)),
        noise=float(rng.uniform(1.0, 5.0)),
        shake_px=float(rng.uniform(0.3, 2.5)) if rng.random() < 0.5 else 0.0,
        phases=(float(p0), float(p1), float(p2), float(p3)),
    )


def draw_ambience(rng: Generator, noise_share: float = 0.0) -> Ambience:
    """Draw what is always heard; with music or clicks in a share of scenes."""

    def level(low: float, high: float, chance: float) -> float:
        drawn = np.exp(rng.uniform(np.log(low), np.log(high)))
        return float(drawn) if rng.random() < chance else 0.0

    return Ambience(
        hiss=level(0.0005, 0.004, 1.0),
        hum=level(0.003, 0.02, 0.4),
        hum_hz=float(rng.choice([50.0, 60.0, 100.0, 120.0])),
        wind=level(0.003, 0.02, 0.4),
        murmur=level(0.003, 0.02, 0.3),
        music=level(0.01, 0.05, 0.7 * noise_share),
        clatter=level(0.02, 0.08, 0.6 * noise_share),
    )


__all__ = [
    "draw_ambience",
    "draw_backdrops",
    "draw_camera",
    "draw_scene",
    "draw_sound",
    "draw_thing",
    "draw_word",
]
