from hypothesis import given
from hypothesis import strategies as st
from transformers import AddedToken, Qwen2Tokenizer

from compressor.omni.detokenizer import Detokenizer
from compressor.omni.tokenizer import SPECIAL_IDS, byte_tokenizer


def push_all(tokenizer: Qwen2Tokenizer, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [detokenizer.push(token_id) for token_id in ids] + [detokenizer.flush()]


def test_text_of_a_character_comes_with_its_last_byte() -> None:
    assert push_all(byte_tokenizer(), list("aé😀b".encode())) == [
        *["a", "", "é", "", "", "", "😀", "b"],
        "",
    ]


def test_incomplete_character_at_the_end_is_replaced() -> None:
    assert push_all(byte_tokenizer(), list("😀".encode())[:3]) == ["", "", "", "\ufffd"]


def test_specials_have_no_text() -> None:
    assert push_all(byte_tokenizer(), [SPECIAL_IDS["<|im_end|>"], ord("a")]) == ["", "a", ""]


def test_added_words_are_written_as_they_are() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken(" résumé", normalized=False)])

    assert push_all(tokenizer, [ord("a"), 266]) == ["a", " résumé", ""]


@given(st.lists(st.integers(0, 265), max_size=40))
def test_all_text_together_equals_decode(ids: list[int]) -> None:
    tokenizer = byte_tokenizer()

    assert "".join(push_all(tokenizer, ids)) == tokenizer.decode(ids, skip_special_tokens=True)


def test_tokens_of_many_bytes_may_end_inside_a_character() -> None:
    # one merge: the first two bytes of the euro sign
    plain = byte_tokenizer()
    first, second = (plain.convert_ids_to_tokens(byte) for byte in "€".encode()[:2])
    vocab = plain.get_vocab() | {first + second: 266}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[(first, second)])

    assert tokenizer.encode("€") == [266, 0xAC]
    assert push_all(tokenizer, [266, 0xAC]) == ["", "€", ""]
