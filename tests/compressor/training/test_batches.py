import numpy as np
import pytest

from compressor.omni.chat import ChatLayout
from compressor.training.batches import (
    TAIL_TOKENS,
    Batch,
    BatchConfig,
    BatchStream,
    choose_questions,
    encode_turn,
    heard_labels,
    loader,
    paraphrase,
)
from compressor.training.binding import IGNORED
from compressor.training.questions import Kind, questions
from compressor.training.scenes import SOUNDS, Split
from compressor.training.speech import SAMPLE_RATE_HZ, word_wave
from compressor.training.timeline import draw_scene

CONFIG = BatchConfig((4, 6), (1.0, 1.0), 12, seed=2)


def test_batches_are_reproducible_and_differ(layout: ChatLayout) -> None:
    one, two = (BatchStream(CONFIG, layout).batch(3) for _ in range(2))
    other = BatchStream(CONFIG, layout).batch(4)

    assert np.array_equal(one.tails, two.tails)
    assert np.array_equal(one.frames.stamps, two.frames.stamps)
    assert one.tails.shape != other.tails.shape or not np.array_equal(one.tails, other.tails)


def test_the_same_scenes_can_be_asked_about_again(layout: ChatLayout) -> None:
    stream = BatchStream(BatchConfig((4, 8), (1.0, 1.0), 16, seed=5), layout)
    batch = stream.batch(3)

    first, second, other = (
        stream.ask_again(batch, number, turn) for number, turn in [(3, 1), (3, 2), (4, 1)]
    )

    assert np.array_equal(first.tails, stream.ask_again(batch, 3, 1).tails)
    assert not np.array_equal(first.tails, batch.tails)
    assert not np.array_equal(first.tails, second.tails)
    assert first.tails.shape == first.targets.shape == batch.tails.shape
    for asked in (first, second):
        assert asked.frames is batch.frames
        assert asked.bound is batch.bound
    assert not np.array_equal(other.tails[: len(first.tails)], first.tails)


def test_the_same_question_has_the_same_answer_again(layout: ChatLayout) -> None:
    stream = BatchStream(BatchConfig((8,), (1.0,), 8, seed=5), layout)
    batch = stream.batch(0)
    answers: dict[tuple[int, ...], set[int]] = {}
    times_asked = 0

    for asked in (batch, *(stream.ask_again(batch, 0, turn) for turn in range(1, 6))):
        for tail, target in zip(asked.tails[0], asked.targets[0], strict=True):
            end = int(np.flatnonzero(target != IGNORED)[0])
            answers.setdefault(tuple(tail[: end + 1]), set()).add(int(target[end]))
            times_asked += 1

    assert times_asked > len(answers) > 20
    assert all(len(found) == 1 for found in answers.values())


def test_workers_deal_out_the_same_sequence(layout: ChatLayout) -> None:
    stream = BatchStream(CONFIG, layout)
    alone, shared = iter(loader(stream, 0)), iter(loader(stream, 2))

    for _ in range(3):
        assert np.array_equal(next(alone).tails, next(shared).tails)


def test_shapes_follow_from_length_and_seconds(batch: Batch) -> None:
    assert batch.duration_s == 4
    assert batch.tails.shape == batch.targets.shape == (2, 16, TAIL_TOKENS)
    assert batch.heard.shape == (2, 100)
    assert batch.bound.shape[1:] == (2, 4 * 89)
    assert len(batch.frames.canvas) == 16


def test_targets_are_the_answer_and_the_end_of_turn(layout: ChatLayout) -> None:
    ids, targets = encode_turn(layout, "What color was the ring?", "blue")

    asked = [target for target in targets if target != IGNORED]
    assert asked == [*layout.encode("blue"), layout.special.im_end]
    place = targets.index(asked[0])
    assert ids[: place + 1] == layout.tail([("user", "What color was the ring?")])
    assert ids[place + 1] == asked[0]
    assert len(ids) == len(targets) == TAIL_TOKENS


def test_answers_of_several_tokens_are_refused(layout: ChatLayout) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_turn(layout, "What?", "a red square")


def test_all_kinds_are_asked_about_evenly() -> None:
    found = questions(draw_scene(Split.TRAIN, 0, 30.0))
    chosen = choose_questions(found, 3000, np.random.default_rng(0), {})

    counts = np.bincount([one.kind for one in chosen])
    present = {one.kind for one in found}
    assert counts[sorted(present)].min() > 3000 / len(present) / 3


def test_what_is_hard_can_be_asked_about_more_often(layout: ChatLayout) -> None:
    config = BatchConfig((8,), (1.0,), 64, kind_weights={Kind.COUNT: 9.0})
    stream = BatchStream(config, layout)
    batch = stream.batch(0)

    for asked in (batch, stream.ask_again(batch, 0, 1)):
        share = (asked.kinds == Kind.COUNT).mean()
        assert 0.4 < share < 0.7  # nine of eighteen, or of fewer where a scene lacks a kind
        assert len(np.unique(asked.kinds)) > 5


def test_paraphrases_mean_the_same() -> None:
    rng = np.random.default_rng(0)
    found = {paraphrase("What color was the ring?", rng) for _ in range(2000)}

    assert {"What colour was the ring?", "what color was the ring"} <= found
    assert len(found) == 8


def test_words_are_asked_about_in_two_phrases() -> None:
    rng = np.random.default_rng(0)
    found = {paraphrase("Did you hear the word open?", rng).lower() for _ in range(1000)}

    assert found == {
        f"{text}{end}"
        for text in ("did you hear the word open", "was the word open said")
        for end in ("", "?")
    }


def test_audio_tokens_are_labelled_where_an_event_fills_them() -> None:
    scene = draw_scene(Split.TRAIN, 2, 8.0, speech_share=1.0)
    labels = heard_labels(scene)

    for sound in scene.sounds:
        middle = int((sound.start_s + sound.duration_s / 2) * 25)
        assert labels[middle] in (1 + sound.kind, IGNORED)
    lengths_s = [sound.duration_s for sound in scene.sounds]
    lengths_s += [len(word_wave(word)) / SAMPLE_RATE_HZ for word in scene.words]
    assert (labels > 0).sum() <= sum(length_s * 25 + 1 for length_s in lengths_s)


def test_audio_tokens_are_labelled_with_the_word_they_hold() -> None:
    scenes = [draw_scene(Split.TRAIN, seed, 8.0, speech_share=1.0) for seed in range(20)]
    spoken = [(scene, word) for scene in scenes for word in scene.words]

    assert spoken
    for scene, word in spoken:
        assert heard_labels(scene)[int((word.start_s + 0.1) * 25)] == 1 + len(SOUNDS) + word.index


def test_crowds_come_on_demand(layout: ChatLayout) -> None:
    config = BatchConfig((4,), (1.0,), 8, is_crowded=True)

    batch = BatchStream(config, layout).batch(0)

    assert len(batch.frames.stamps) == 9 * len(batch.frames.canvas)
