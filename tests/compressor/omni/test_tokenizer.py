from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from compressor.omni.tokenizer import SPECIAL_IDS, byte_symbols, byte_tokenizer


def test_byte_symbols_are_those_of_upstream() -> None:
    assert byte_symbols() == bytes_to_unicode()


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_ids_of_text_are_its_utf8_bytes(text: str) -> None:
    tokenizer = byte_tokenizer()

    ids = tokenizer.encode(text, split_special_tokens=True)

    # transformers' Qwen2 tokenizer composes characters first
    assert tokenizer.decode(ids) == tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    assert all(token_id < 256 for token_id in ids)


def test_specials_are_one_token_each_with_the_roles_that_the_processor_asks_for() -> None:
    tokenizer = byte_tokenizer()

    assert [tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_IDS] == list(range(256, 266))
    assert tokenizer.encode("<|im_start|>") == [SPECIAL_IDS["<|im_start|>"]]
    for role in ("image", "audio", "video", "vision_bos", "vision_eos", "audio_bos", "audio_eos"):
        assert getattr(tokenizer, f"{role}_token_id") in SPECIAL_IDS.values()


def test_saved_tokenizer_loads_as_the_same(tmp_path: object) -> None:
    byte_tokenizer().save_pretrained(str(tmp_path))

    loaded = AutoTokenizer.from_pretrained(str(tmp_path))

    assert loaded.get_vocab() == byte_tokenizer().get_vocab()
    assert loaded.encode("a<|VIDEO|>é") == byte_tokenizer().encode("a<|VIDEO|>é")
    assert loaded.audio_bos_token_id == SPECIAL_IDS["<|audio_bos|>"]
