from dataclasses import replace
from math import inf, nan

import pytest

from service.ingest.recording.asking import question_again, why_not_again
from service.ingest.recording.journal import Asked
from service.sessions.record import Manner

ASKED = Asked("what ?", "a bell", 4.0, "stop", 3)


def asked(**manner: object) -> Asked:
    return replace(ASKED, manner=Manner(**manner))  # type: ignore[arg-type]  # any field


def test_a_question_is_asked_as_it_was() -> None:
    again = question_again(
        asked(temperature=0.5, seed=7, top_p=0.9, stop=(".",), window_s=4.0, at_s=6.0), "q"
    )

    sampling = again.sampling
    assert (sampling.temperature, sampling.seed, sampling.top_p) == (0.5, 7, 0.9)
    assert (sampling.stop, sampling.max_tokens) == ((".",), 3)
    assert (again.window_s, again.at_s) == (4.0, 6.0)
    assert [message.content for message in again.messages] == ["what ?"]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ({"temperature": 0.7}, "drawn at random (temperature 0.7"),
        ({"num_messages": 3}, "conversation"),
    ],
)
def test_what_could_be_the_same_by_chance_only_is_not_asked(
    manner: dict[str, object], reason: str
) -> None:
    found = why_not_again(asked(**manner))

    assert found is not None
    assert reason in found


@pytest.mark.parametrize("manner", [{"temperature": 0.7, "seed": 1}, {"window_s": 2.0}, {}])
def test_what_is_the_same_every_time_is_asked(manner: dict[str, object]) -> None:
    assert why_not_again(asked(**manner)) is None


def test_recordings_that_do_not_tell_are_taken_for_greedy() -> None:
    assert why_not_again(ASKED) is None
    assert question_again(ASKED, "q").sampling.temperature == 0


@pytest.mark.parametrize(
    "manner",
    [
        {"temperature": -1.0},
        {"temperature": nan, "seed": 1},
        {"temperature": inf, "seed": 1},
        {"top_p": 0.0},
        {"seed": -1},
        {"stop": ("a",) * 9},
        {"window_s": nan},
        {"at_s": -2.0},
    ],
)
def test_what_nobody_can_have_asked_is_not_asked(manner: dict[str, object]) -> None:
    found = why_not_again(asked(**manner))

    assert found is not None
    assert "wrong" in found


def test_no_recording_asks_for_more_tokens_than_the_api_allows() -> None:
    assert question_again(replace(ASKED, completion_tokens=10**9), "q").sampling.max_tokens == 4096
