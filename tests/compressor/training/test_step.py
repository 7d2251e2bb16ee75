import pytest
import torch

from compressor.training.batches import Batch
from compressor.training.binding import IGNORED
from compressor.training.schedule import FULL
from compressor.training.selection import Budget, Rule
from compressor.training.step import Studio, Weights, forward, right_answers
from compressor.training.student import Student

Media = tuple[torch.Tensor, torch.Tensor]


def test_rendering_is_reproducible(batch: Batch, media: Media) -> None:
    patches, mel = Studio(torch.device("cpu"), 0).shoot(batch)
    others, _ = Studio(torch.device("cpu"), 1).shoot(batch)

    assert torch.equal(patches, media[0])
    assert torch.equal(mel, media[1])
    assert not torch.equal(patches, others)
    assert patches.shape == (8, 256, 1176)
    assert mel.shape == (2, 128, 400)


@pytest.mark.parametrize(
    "budget",
    [FULL, Budget(Rule.OMNISIFT, 0.23, 0.5), Budget(Rule.RANDOM, 0.23, 0.5)],
    ids=lambda budget: budget.rule.value,
)
def test_every_budget_trains_the_text_model(
    student: Student, batch: Batch, media: Media, header: torch.Tensor, budget: Budget
) -> None:
    with torch.no_grad():
        tokens = student.encode(*media)

    outcome = forward(student, tokens, batch, header, budget, Weights(binding=0.5, event=0.5))
    torch.autograd.backward(outcome.loss)

    layer = student.thinker.model.layers[0]
    assert outcome.is_right.shape == (2, 16)
    assert layer.mlp.up_proj.weight.grad is not None
    assert student.binding["is_new"].weight.grad is not None


def test_without_questions_only_perception_is_learned(
    student: Student, batch: Batch, media: Media, header: torch.Tensor
) -> None:
    tokens = student.encode(*media)

    outcome = forward(student, tokens, batch, header, None, Weights(perception=1.0))
    torch.autograd.backward(outcome.loss)

    assert outcome.is_right.numel() == 0
    assert outcome.perceived.shape == (3,)
    assert student.thinker.lm_head.weight.grad is None


def test_only_the_first_answer_token_is_judged() -> None:
    logits = torch.zeros(1, 2, 3, 5)
    logits[0, :, 1, 4] = 1.0
    targets = torch.tensor([[[IGNORED, 4, 2], [IGNORED, 3, 2]]])

    assert right_answers(logits, targets).tolist() == [[True, False]]
