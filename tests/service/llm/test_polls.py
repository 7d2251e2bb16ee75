import pytest
import torch

from service.llm.polls import Polls

WORDS = {"yes": [1], "Yes": [2], "no": [3], "No": [4, 5], "maybe": [6, 7]}


def polls() -> Polls:
    return Polls(WORDS.__getitem__)


def test_shares_are_those_of_a_softmax_over_the_choices() -> None:
    logits = torch.tensor([9.0, 1.0, 2.0, 0.5, 7.0, 7.0, 0.0, 0.0])
    weights = logits.double().exp()

    yes, no = polls().weigh(logits, (("yes", "Yes"), ("no", "No")))

    expected = (weights[1] + weights[2]) / (weights[1] + weights[2] + weights[3])
    assert yes == pytest.approx(float(expected))
    assert yes + no == pytest.approx(1.0)


def test_first_token_stands_for_a_text_of_several() -> None:
    logits = torch.zeros(8)
    logits[6] = 40.0

    assert polls().weigh(logits, (("maybe",), ("no",)))[0] == pytest.approx(1.0)
