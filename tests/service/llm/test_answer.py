"""Text and end of an answer, over a tokenizer of bytes."""

import pytest

from compressor.omni.detokenizer import Detokenizer
from compressor.omni.tokenizer import SPECIAL_IDS, byte_tokenizer
from service.llm.answer import Answer
from service.llm.engine import Sampling, TokenDelta

END = SPECIAL_IDS["<|im_end|>"]
TOKENIZER = byte_tokenizer()


def answer(**sampling: object) -> Answer:
    return Answer(Detokenizer(TOKENIZER), {END}, Sampling(**sampling))  # type: ignore[arg-type]  # a test's literals


def pushed(answer: Answer, token_ids: bytes | list[int]) -> list[TokenDelta | None]:
    """Push until the answer is over."""
    deltas = []
    for token_id in token_ids:
        deltas.append(answer.push(token_id))
        if answer.reason is not None:
            break
    return deltas


def test_every_token_gives_a_delta() -> None:
    running = answer()

    assert pushed(running, b"hi") == [TokenDelta("h", 104), TokenDelta("i", 105)]
    assert (running.text, running.num_tokens, running.reason) == ("hi", 2, None)


def test_end_token_stops_and_says_nothing() -> None:
    done = answer()

    deltas = pushed(done, [104, END])

    assert deltas == [TokenDelta("h", 104), None]
    assert (done.text, done.num_tokens, done.reason) == ("h", 1, "stop")


def test_last_allowed_token_ends_by_length() -> None:
    done = answer(max_tokens=2)

    pushed(done, b"abc")

    assert (done.text, done.num_tokens, done.reason) == ("ab", 2, "length")


def test_stop_string_ends_and_is_left_out() -> None:
    done = answer(stop=("ll",))

    deltas = pushed(done, b"hello")

    assert (done.text, done.num_tokens, done.reason) == ("he", 4, "stop")
    assert [delta.text for delta in deltas if delta] == ["h", "e", "", ""]


@pytest.mark.parametrize(("rest", "reason"), [([END], "stop"), ([], "length")])
def test_held_text_comes_with_the_end(rest: list[int], reason: str) -> None:
    done = answer(max_tokens=2 if reason == "length" else 9, stop=("xyz",))

    deltas = pushed(done, [104, 120, *rest])

    assert (done.text, done.reason) == ("hx", reason)
    assert "".join(delta.text for delta in deltas if delta) == "hx"


def test_character_comes_with_its_last_byte() -> None:
    running = answer()

    deltas = pushed(running, "é€".encode())

    assert [delta.text for delta in deltas if delta] == ["", "é", "", "", "€"]


def test_incomplete_character_is_replaced_at_the_end() -> None:
    done = answer(max_tokens=1)

    assert pushed(done, "é".encode()) == [TokenDelta("\N{REPLACEMENT CHARACTER}", 0xC3)]
    assert done.text == "\N{REPLACEMENT CHARACTER}"
