"""Decode steps as CUDA graphs: they are captured, and equal eager ones."""

import numpy as np
import pytest
import torch

from service.llm.assembly import build_forward
from service.llm.config import EngineConfig
from service.llm.forward import PackedForward, Segment
from service.llm.prompt import Inputs
from service.llm.sequence import PagedSequence
from tests.service.llm.thinker import Thinker, build_thinker

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def step(forward: PackedForward, sequences: list[PagedSequence], num_tokens: int) -> torch.Tensor:
    segments = []
    for number, sequence in enumerate(sequences):
        sequence.reserve(num_tokens)
        at = np.arange(sequence.length, sequence.length + num_tokens)
        inputs = Inputs(5 + (at * 7 + number) % 90, at[None].repeat(3, axis=0))
        segments.append(Segment(sequence, inputs, True))
    results = forward.run(segments)
    return torch.stack([result.logits for result in results if result.logits is not None])


def on_cuda(thinker: Thinker) -> Thinker:
    return Thinker(thinker.model.cuda(), thinker.head.cuda())


def test_replayed_steps_equal_eager_ones(caplog: pytest.LogCaptureFixture) -> None:
    thinker = on_cuda(build_thinker())
    config = EngineConfig(num_pages=300, attention="triton")
    graphed = build_forward(thinker.model, thinker.head, config)
    eager = build_forward(
        thinker.model, thinker.head, EngineConfig(num_pages=300, attention="gather")
    )
    sequences = [[PagedSequence(forward.pool) for _ in range(11)] for forward in (graphed, eager)]
    for num_rows in (3, 8, 11):
        for _ in range(4):
            for num_tokens in (20, 1, 1):
                found, expected = (
                    step(forward, rows[:num_rows], num_tokens)
                    for forward, rows in zip((graphed, eager), sequences, strict=True)
                )
                torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)

    assert not [record for record in caplog.records if record.levelname == "WARNING"]
