"""Limits are checked when they are set."""

import pytest

from service.llm.config import EngineConfig


def test_defaults_are_valid() -> None:
    assert EngineConfig().max_questions < EngineConfig().step_tokens


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_pages": 0}, "num_pages must be 1 or more, got 0"),
        ({"page_tokens": 0}, "page_tokens must be 1 or more"),
        ({"context_tokens": -1}, "context_tokens must be 1 or more"),
        ({"max_questions": 0}, "max_questions must be 1 or more"),
        ({"max_questions": 16, "step_tokens": 16}, "max_questions must be below step_tokens"),
        ({"question_ratio": 0.0}, "question_ratio must be in"),
        ({"reserve_ratio": 0.0}, "reserve_ratio must be in"),
        ({"reserve_ratio": 1.5}, "reserve_ratio must be in"),
        ({"total_tokens": 0}, "total_tokens must be 1 or more"),
        ({"question_ratio": 1.0}, "question_ratio must be in"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineConfig(**values)
