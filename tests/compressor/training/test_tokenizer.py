import pytest

from compressor.omni.chat import ChatLayout
from compressor.omni.tokenizer import SPECIAL_IDS, byte_tokenizer
from compressor.training.questions import questions
from compressor.training.scenes import Split
from compressor.training.timeline import draw_scene
from compressor.training.tokenizer import learn_merges, vocab_size, word_tokenizer


def test_merging_goes_on_until_each_word_is_one_token() -> None:
    merges = learn_merges([("a", "b", "c"), ("a", "b"), ("b", "c")])

    assert merges == [("a", "b"), ("ab", "c"), ("b", "c")]


def test_words_of_questions_and_answers_are_single_tokens(layout: ChatLayout) -> None:
    for question in questions(draw_scene(Split.TEST, 1, 30.0)):
        words = question.text.replace("?", " ?").split()
        assert len(layout.encode(question.text)) == len(words)
        assert len(layout.encode(question.answer)) == 1


@pytest.mark.parametrize("text", ["Grüße, 世界!", "redsquare bellbuzz", "<|im_end|>", "a\n\n b"])
def test_any_other_text_survives(text: str) -> None:
    tokenizer = word_tokenizer()

    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    assert tokenizer.decode(ids) == text


def test_bytes_and_special_tokens_keep_the_ids_of_the_byte_tokenizer() -> None:
    words, plain = word_tokenizer().get_vocab(), byte_tokenizer().get_vocab()

    assert plain.items() <= words.items()
    assert set(SPECIAL_IDS.values()) <= set(words.values())
    assert vocab_size(word_tokenizer()) >= len(words)
