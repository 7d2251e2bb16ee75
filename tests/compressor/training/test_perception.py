import torch

from compressor.training.batches import Batch
from compressor.training.binding import HEAD_WEIGHTS, HEADS, IGNORED
from compressor.training.perception import binding_loss, event_loss, perception_loss, seen_labels
from compressor.training.student import Kept, Student


def test_each_stamp_labels_the_token_that_holds_its_centre(batch: Batch) -> None:
    colour, shape = seen_labels(batch, 8, torch.device("cpu"))

    for frame, y, x, _, kind, *_, name in batch.frames.stamps:
        token = int(y // 28) * 8 + int(x // 28)
        assert colour[int(frame) // 2, token] > 0 or name == 6
        assert shape[int(frame) // 2, token] > 0 or kind < 0
    assert (colour == 0).sum() > (colour > 0).sum()
    assert (colour == IGNORED).any()


def test_perception_loss_falls_when_the_heads_learn(
    student: Student, batch: Batch, media: tuple[torch.Tensor, torch.Tensor]
) -> None:
    tokens = student.encode(*media)
    optimiser = torch.optim.Adam(student.heads.parameters(), 0.05)
    losses = []
    for _ in range(20):
        loss, rates = perception_loss(student.heads, tokens, batch)
        optimiser.zero_grad()
        torch.autograd.backward(loss, retain_graph=True)
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0] / 2
    assert rates.shape == (3,)


def test_binding_looks_at_kept_tokens_alone(student: Student) -> None:
    bound = torch.full((len(HEADS), 1, 6), IGNORED)
    bound[0, 0, 4] = 1
    middle = torch.randn(1, 2, 48)
    index = torch.tensor([[1, 4]])

    found = binding_loss(
        student.binding, middle, Kept(middle, index, torch.tensor([[True, True]])), bound
    )
    hidden = binding_loss(
        student.binding, middle, Kept(middle, index, torch.tensor([[True, False]])), bound
    )

    logits = student.binding["is_new"](middle[0, 1])
    expected = -HEAD_WEIGHTS["is_new"] * logits.log_softmax(0)[1] / len(HEADS)
    torch.testing.assert_close(found, expected)
    assert hidden == 0


def test_event_loss_prefers_scores_that_tell_events() -> None:
    heard = torch.tensor([[0, 3, 3, IGNORED, 0]])
    good = torch.tensor([[0.1, 0.9, 0.9, 0.5, 0.1]])

    assert event_loss(good, heard) < event_loss(1 - good, heard)
    assert torch.equal(
        event_loss(good, heard), event_loss(good.index_fill(1, torch.tensor([3]), 0.9), heard)
    )
