"""What can be asked about a scene, with the one right answer.

Every question is unambiguous by construction: attributes are asked of things that they single
out, sounds of kinds that are heard once. Knows nothing about media, tokens or models.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from compressor.training.scenes import (
    COLOURS,
    OTHER,
    SHAPES,
    SOUNDS,
    UNSEEN_PAIRS,
    WORDS,
    Scene,
    Sound,
    Thing,
)

MAX_COUNT = 6
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
NOTHING = "nothing"
_APART_S = 1.0  # two moments at least this far apart have a clear order
_CLEAR_S = 0.8  # how long a thing must be on screen around a sound to be seen with it


class Kind(IntEnum):
    """What a question needs; the rows of the evaluation table."""

    LOOK = 0
    ORDER = 1
    COUNT = 2
    SOUND = 3
    SOUND_ORDER = 4
    SOUND_COUNT = 5
    MADE_BY = 6
    MAKES = 7
    SEEN_DURING = 8
    WHICH_FIRST = 9
    WORD = 10
    WORD_ORDER = 11


VISION_KINDS = frozenset({Kind.LOOK, Kind.ORDER, Kind.COUNT})
AUDIO_KINDS = frozenset(
    {Kind.SOUND, Kind.SOUND_ORDER, Kind.SOUND_COUNT, Kind.WORD, Kind.WORD_ORDER}
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a whole scene.

    Attributes:
        kind: What it needs.
        text: As a user would type it.
        answer: One lower-case word.
        at_s: When the evidence was last seen or heard; its age is counted from there.
        is_on_screen: Whether the sound it is about was made by something visible; None if it is
            about no single sound.
        is_unseen: Whether it is about a colour and shape never shown together in training.
    """

    kind: Kind
    text: str
    answer: str
    at_s: float
    is_on_screen: bool | None = None
    is_unseen: bool = False


def questions(scene: Scene) -> list[Question]:
    """List all questions about a scene, in a fixed order."""
    found: list[Question] = []
    for ask in (_looks, _orders, _counts, _sounds, _sound_orders, _alignments, _firsts, _words):
        found.extend(ask(scene))
    return found


def _name(thing: Thing) -> str:
    return f"{COLOURS[thing.colour]} {SHAPES[thing.shape]}"


def _pair(thing: Thing) -> tuple[int, int]:
    return thing.colour, thing.shape


def _has_name(thing: Thing) -> bool:
    return thing.colour != OTHER


def _is_unseen(thing: Thing) -> bool:
    return _pair(thing) in UNSEEN_PAIRS


def _looks(scene: Scene) -> Iterator[Question]:
    colours = Counter(thing.colour for thing in scene.things)
    shapes = Counter(thing.shape for thing in scene.things)
    for thing in filter(_has_name, scene.things):
        colour, shape = COLOURS[thing.colour], SHAPES[thing.shape]
        at_s, unseen = thing.end_s, _is_unseen(thing)
        if colours[thing.colour] == 1:
            text = f"What shape was the {colour} object?"
            yield Question(Kind.LOOK, text, shape, at_s, is_unseen=unseen)
        if shapes[thing.shape] == 1:
            text = f"What color was the {shape}?"
            yield Question(Kind.LOOK, text, colour, at_s, is_unseen=unseen)


def _orders(scene: Scene) -> Iterator[Question]:
    if not scene.things:
        return
    for word, thing in (("first", scene.things[0]), ("last", scene.things[-1])):
        if _has_name(thing):
            text, answer = f"What color appeared {word}?", COLOURS[thing.colour]
            yield Question(Kind.ORDER, text, answer, thing.start_s, is_unseen=_is_unseen(thing))
        text, answer = f"What shape appeared {word}?", SHAPES[thing.shape]
        yield Question(Kind.ORDER, text, answer, thing.start_s, is_unseen=_is_unseen(thing))
    pairs = Counter(map(_pair, scene.things))
    for before, after in pairwise(scene.things):
        if pairs[_pair(before)] == 1 and _has_name(before):
            name, at_s = _name(before), after.start_s
            unseen = _is_unseen(before) or _is_unseen(after)
            if _has_name(after):
                text = f"What color appeared after the {name}?"
                yield Question(Kind.ORDER, text, COLOURS[after.colour], at_s, is_unseen=unseen)
            text = f"What shape appeared after the {name}?"
            yield Question(Kind.ORDER, text, SHAPES[after.shape], at_s, is_unseen=unseen)


def _counts(scene: Scene) -> Iterator[Question]:
    end_s = scene.duration_s
    tally = [("objects", len(scene.things))]
    colours = Counter(COLOURS[thing.colour] for thing in filter(_has_name, scene.things))
    shapes = Counter(SHAPES[thing.shape] for thing in scene.things)
    tally.extend((f"{name} objects", colours[name]) for name in COLOURS)
    tally.extend((_plural(name), shapes[name]) for name in SHAPES)
    unseen = any(map(_is_unseen, scene.things))
    for name, number in tally:
        if number <= MAX_COUNT:
            text = f"How many {name} appeared?"
            yield Question(Kind.COUNT, text, NUMBERS[number], end_s, is_unseen=unseen)


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith(("s", "z")) or word == "hiss" else f"{word}s"


def _sounds(scene: Scene) -> Iterator[Question]:
    heard = Counter(sound.kind for sound in scene.sounds)
    for kind, name in enumerate(SOUNDS):
        last = [sound for sound in scene.sounds if sound.kind == kind][-1:]
        at_s = last[0].start_s if last else scene.duration_s
        on_screen = _on_screen(last[0]) if heard[kind] == 1 else None
        answer = "yes" if heard[kind] else "no"
        yield Question(Kind.SOUND, f"Did you hear a {name}?", answer, at_s, on_screen)
        if heard[kind] <= MAX_COUNT:
            text = f"How many {_plural(name)} did you hear?"
            yield Question(Kind.SOUND_COUNT, text, NUMBERS[heard[kind]], scene.duration_s)
    if len(scene.sounds) <= MAX_COUNT:
        text = "How many sounds did you hear?"
        yield Question(Kind.SOUND_COUNT, text, NUMBERS[len(scene.sounds)], scene.duration_s)


def _on_screen(sound: Sound) -> bool:
    return sound.source is not None


def _sound_orders(scene: Scene) -> Iterator[Question]:
    sounds = scene.sounds
    if not sounds:
        return
    heard = Counter(sound.kind for sound in sounds)
    for word, sound in (("first", sounds[0]), ("last", sounds[-1])):
        text, answer = f"What sound came {word}?", SOUNDS[sound.kind]
        yield Question(Kind.SOUND_ORDER, text, answer, sound.start_s, _on_screen(sound))
    for before, after in pairwise(sounds):
        if heard[before.kind] == 1:
            text = f"What sound came after the {SOUNDS[before.kind]}?"
            answer = SOUNDS[after.kind]
            yield Question(Kind.SOUND_ORDER, text, answer, after.start_s, _on_screen(after))


def _alignments(scene: Scene) -> Iterator[Question]:
    heard = Counter(sound.kind for sound in scene.sounds)
    for sound in scene.sounds:
        if heard[sound.kind] == 1:
            yield from _seen_with(scene, sound)
    pairs = Counter(map(_pair, scene.things))
    made = {sound.source: sound for sound in scene.sounds if sound.source is not None}
    for index, thing in enumerate(scene.things):
        if pairs[_pair(thing)] == 1 and thing.touches is None and _has_name(thing):
            maker = made.get(index)
            answer = NOTHING if maker is None else SOUNDS[maker.kind]
            text = f"What sound came with the {_name(thing)}?"
            on_screen = None if maker is None else True
            unseen = _is_unseen(thing)
            yield Question(Kind.MAKES, text, answer, thing.start_s, on_screen, unseen)


def _seen_with(scene: Scene, sound: Sound) -> Iterator[Question]:
    name, at_s = SOUNDS[sound.kind], sound.start_s
    source = None if sound.source is None else scene.things[sound.source]
    if source is not None and source.touches is None:
        unseen = _is_unseen(source)
        if _has_name(source):
            text, answer = f"What color appeared with the {name}?", COLOURS[source.colour]
            yield Question(Kind.MADE_BY, text, answer, at_s, is_on_screen=True, is_unseen=unseen)
        text, answer = f"What shape appeared with the {name}?", SHAPES[source.shape]
        yield Question(Kind.MADE_BY, text, answer, at_s, is_on_screen=True, is_unseen=unseen)
    visible = _visible_around(scene, at_s)
    if source is None and visible is not None and all(map(_has_name, visible)):
        text = f"What color was visible during the {name}?"
        answer = COLOURS[visible[0].colour] if visible else NOTHING
        yield Question(Kind.SEEN_DURING, text, answer, at_s, is_on_screen=False)


def _visible_around(scene: Scene, at_s: float) -> list[Thing] | None:
    """The one thing clearly visible around a moment, [] for clearly none, None if unclear."""
    near = [t for t in scene.things if t.start_s < at_s + _CLEAR_S and t.end_s > at_s - _CLEAR_S]
    if len(near) > 1:
        return None
    if near and (near[0].start_s > at_s - _CLEAR_S or near[0].end_s < at_s + _CLEAR_S):
        return None
    return near


def _firsts(scene: Scene) -> Iterator[Question]:
    pairs = Counter(map(_pair, scene.things))
    heard = Counter(sound.kind for sound in scene.sounds)
    for thing in filter(_has_name, scene.things):
        for sound in scene.sounds:
            gap_s = sound.start_s - thing.start_s
            if pairs[_pair(thing)] == heard[sound.kind] == 1 and abs(gap_s) > _APART_S:
                text = f"Did the {SOUNDS[sound.kind]} come before the {_name(thing)}?"
                at_s = min(sound.start_s, thing.start_s)
                answer = "yes" if gap_s < 0 else "no"
                unseen = _is_unseen(thing)
                yield Question(Kind.WHICH_FIRST, text, answer, at_s, _on_screen(sound), unseen)


def _words(scene: Scene) -> Iterator[Question]:
    if not scene.words:
        return  # a scene without speech is none about words
    said = Counter(word.index for word in scene.words)
    for index, name in enumerate(WORDS):
        last = [word for word in scene.words if word.index == index][-1:]
        at_s = last[0].start_s if last else scene.duration_s
        answer, on_screen = ("yes", False) if last else ("no", None)
        yield Question(Kind.WORD, f"Did you hear the word {name}?", answer, at_s, on_screen)
    for adverb, word in zip(("first", "last"), scene.words[:1] + scene.words[-1:], strict=False):
        text = f"What word came {adverb}?"
        yield Question(Kind.WORD_ORDER, text, WORDS[word.index], word.start_s, False)
    for before, after in pairwise(scene.words):
        if said[before.index] == 1:
            text = f"What word came after {WORDS[before.index]}?"
            yield Question(Kind.WORD_ORDER, text, WORDS[after.index], after.start_s, False)
    for word in scene.words:
        visible = _visible_around(scene, word.start_s)
        if said[word.index] == 1 and visible is not None and all(map(_has_name, visible)):
            text = f"What color was visible during the word {WORDS[word.index]}?"
            seen = COLOURS[visible[0].colour] if visible else NOTHING
            yield Question(Kind.SEEN_DURING, text, seen, word.start_s, is_on_screen=False)


def vocabulary() -> list[str]:
    """Every word form that questions and answers use, sorted."""
    texts = [
        "What shape color was the object? Was on the left or right?",
        "What appeared first? last? after How many objects appeared? touched did touch?",
        "Did you hear a come came before How many sounds sound did you hear? with",
        "What color was visible during the yes no colour",
        "Was the word said? What word was said after when",
        *(f"{word} {word}?" for word in WORDS),
        *(f"{name} {name}? {_plural(name)} {_plural(name)}?" for name in (*SHAPES, *SOUNDS)),
        " ".join((*COLOURS, *NUMBERS, NOTHING)),
    ]
    return sorted({word.rstrip("?") for text in texts for word in text.split()})


__all__ = [
    "AUDIO_KINDS",
    "NOTHING",
    "NUMBERS",
    "VISION_KINDS",
    "Kind",
    "Question",
    "questions",
    "vocabulary",
]
