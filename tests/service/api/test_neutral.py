import pytest

from service.api.neutral import check_neutral
from service.errors import BadRequest


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": False},
        {"response_format": {"type": "text"}, "tools": [], "tool_choice": "none"},
        {"user": "someone", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
        {"n": None, "logit_bias": None, "tools": None, "audio": None, "prediction": None},
        {"modalities": ["text"], "logit_bias": {}, "top_logprobs": 0, "functions": []},
    ],
)
def test_what_asks_for_nothing_is_taken(fields: dict[str, object]) -> None:
    check_neutral(fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("presence_penalty", 0.5),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("tools", [{"type": "function", "function": {"name": "look"}}]),
        ("tool_choice", "required"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
    ],
)
def test_what_is_not_offered_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(BadRequest, match=field) as caught:
        check_neutral({"user": "someone", field: value})

    assert caught.value.details["field"] == field
