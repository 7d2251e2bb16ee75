import json

import pytest

from service.api import sse


def test_event_has_id_type_and_compact_json() -> None:
    encoded = sse.encode({"text": "a b"}, event="token", cursor="7-0")

    assert encoded == b'id: 7-0\nevent: token\ndata: {"text":"a b"}\n\n'


def test_bare_data_has_no_other_field() -> None:
    assert sse.encode("[DONE]") == b"data: [DONE]\n\n"


@pytest.mark.parametrize("text", ["two\nlines", "carriage\rreturn", "ünïcode ☃"])
def test_line_breaks_in_values_never_break_the_event(text: str) -> None:
    encoded = sse.encode({"text": text}).decode()

    (line,) = [line for line in encoded.split("\n") if line]
    assert json.loads(line.removeprefix("data: ")) == {"text": text}
    assert "\r" not in encoded


def test_keep_alive_is_a_comment() -> None:
    assert sse.KEEP_ALIVE.startswith(b":")
    assert sse.KEEP_ALIVE.endswith(b"\n\n")
