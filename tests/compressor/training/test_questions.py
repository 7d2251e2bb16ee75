from dataclasses import replace

from compressor.training.questions import Kind, Question, questions, vocabulary
from compressor.training.scenes import OTHER, WORDS, Scene, Sound, Split, Thing, Word
from compressor.training.timeline import draw_scene


def thing(
    colour: int, shape: int, start_s: float, end_s: float, touches: int | None = None
) -> Thing:
    return Thing(
        colour, shape, 12.0, start_s, end_s, (100.0, 50.0), rest_s=start_s, touches=touches
    )


def sound(kind: int, start_s: float, source: int | None = None) -> Sound:
    return Sound(kind, start_s, 0.1, 1.0, 0.3, 0, source)


def word(name: str, start_s: float) -> Word:
    return Word(WORDS.index(name), start_s, 0, 1.0, 0.3)


def ask(
    things: tuple[Thing, ...], sounds: tuple[Sound, ...] = (), words: tuple[Word, ...] = ()
) -> dict[str, Question]:
    scene = replace(draw_scene(Split.TRAIN, 0, 12.0), things=things, sounds=sounds, words=words)
    return {question.text: question for question in questions(scene)}


RED_CIRCLE = thing(0, 1, 1.0, 4.0)
BLUE_RING = thing(2, 3 + 1, 3.0, 8.0)
RED_RING = thing(0, 4, 9.0, 11.0)


def test_attributes_are_asked_only_where_they_single_out() -> None:
    asked = ask((RED_CIRCLE, BLUE_RING, RED_RING))

    assert asked["What shape was the blue object?"].answer == "ring"
    assert asked["What color was the circle?"].answer == "red"
    assert "What color was the ring?" not in asked
    assert "What shape was the red object?" not in asked


def test_order_follows_appearance() -> None:
    asked = ask((RED_CIRCLE, BLUE_RING, RED_RING))

    assert asked["What color appeared first?"].answer == "red"
    assert asked["What shape appeared last?"].answer == "ring"
    assert asked["What color appeared after the red circle?"].answer == "blue"


def test_counts_cover_zero() -> None:
    asked = ask((RED_CIRCLE, BLUE_RING, RED_RING))

    assert asked["How many objects appeared?"].answer == "three"
    assert asked["How many red objects appeared?"].answer == "two"
    assert asked["How many squares appeared?"].answer == "zero"


def test_a_sound_made_by_a_thing_is_bound_both_ways() -> None:
    asked = ask((RED_CIRCLE, BLUE_RING), (sound(5, 3.03, source=1),))

    made_by, makes = (
        asked["What color appeared with the bell?"],
        asked["What sound came with the blue ring?"],
    )
    assert (made_by.kind, made_by.answer, made_by.is_on_screen) == (Kind.MADE_BY, "blue", True)
    assert (makes.kind, makes.answer) == (Kind.MAKES, "bell")
    assert asked["What sound came with the red circle?"].answer == "nothing"


def test_an_off_screen_sound_is_asked_with_what_was_clearly_visible() -> None:
    alone = ask((BLUE_RING,), (sound(2, 5.5), sound(0, 9.5)))
    leaving = ask((BLUE_RING,), (sound(2, 7.8),))

    assert alone["What color was visible during the hiss?"].answer == "blue"
    assert alone["What color was visible during the beep?"].answer == "nothing"
    assert alone["What color was visible during the hiss?"].is_on_screen is False
    assert "What color was visible during the hiss?" not in leaving


def test_sounds_are_counted_ordered_and_compared() -> None:
    asked = ask((RED_CIRCLE,), (sound(1, 5.0), sound(0, 6.0), sound(1, 7.0)))

    assert asked["How many thuds did you hear?"].answer == "two"
    assert asked["What sound came after the beep?"].answer == "thud"
    assert "What sound came after the thud?" not in asked
    assert asked["Did you hear a bell?"].answer == "no"
    assert asked["Did the beep come before the red circle?"].answer == "no"


def test_words_are_ordered_and_seen_with_what_was_clearly_visible() -> None:
    words = (word("seven", 1.0), word("open", 5.5), word("seven", 9.0), word("water", 10.5))
    asked = ask((BLUE_RING,), words=words)

    assert asked["Did you hear the word open?"].answer == "yes"
    assert asked["Did you hear the word hello?"].answer == "no"
    assert asked["What word came first?"].answer == "seven"
    assert asked["What word came last?"].answer == "water"
    assert asked["What word came after open?"].answer == "seven"
    assert "What word came after seven?" not in asked
    assert asked["What color was visible during the word open?"].answer == "blue"
    assert asked["What color was visible during the word water?"].answer == "nothing"
    assert "What color was visible during the word seven?" not in asked


def test_nothing_is_asked_about_a_colour_without_a_name() -> None:
    asked = ask((replace(RED_CIRCLE, colour=OTHER), BLUE_RING))

    assert asked["How many objects appeared?"].answer == "two"
    assert asked["What shape appeared first?"].answer == "circle"
    assert "What color appeared first?" not in asked
    assert "What color was the circle?" not in asked


def test_unseen_pairs_are_marked() -> None:
    assert ask((thing(0, 0, 1.0, 4.0),))["What color was the square?"].is_unseen
    assert not ask((RED_CIRCLE,))["What color was the circle?"].is_unseen


def scene(seed: int) -> Scene:
    return draw_scene(Split.TEST, seed, (4.0, 12.0, 30.0)[seed % 3])


def test_every_word_is_in_the_vocabulary() -> None:
    words = set(vocabulary())
    for seed in range(60):
        for question in questions(scene(seed)):
            assert set(question.text.replace("?", "").split()) <= words
            assert question.answer in words


def test_every_question_has_one_answer() -> None:
    for seed in range(60):
        answers: dict[str, set[str]] = {}
        for question in questions(scene(seed)):
            answers.setdefault(question.text, set()).add(question.answer)
        assert all(len(found) == 1 for found in answers.values())
