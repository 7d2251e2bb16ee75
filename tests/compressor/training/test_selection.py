from dataclasses import replace

import pytest
import torch

from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.omni.positions import chunk_positions
from compressor.pipeline import TokenCompressor
from compressor.tokens import TokenChunk
from compressor.training.selection import Budget, Rule, select
from compressor.training.student import Student, Tokens, selector_config

RULES = CrossChunkConfig(still_saliency=0.2)


@pytest.fixture
def tokens() -> Tokens:
    generator = torch.Generator().manual_seed(0)
    scene = torch.randn(2, 1, 1, 64, 48, generator=generator)
    change = torch.randn(2, 3, 2, 64, 48, generator=generator)
    amount = torch.rand(2, 3, 2, 64, 1, generator=generator) ** 4
    return Tokens(scene + change * amount, torch.randn(2, 3, 50, 48, generator=generator))


@pytest.mark.parametrize(
    ("rules", "quiet_share"),
    [(None, 0.5), (RULES, 0.0), (RULES, 0.5), (RULES, 0.8), (RULES, 1.0)],
    ids=["paper", "live", "busy", "quiet", "silent"],
)
@torch.no_grad()
def test_the_same_tokens_are_kept_as_by_the_compressor(
    tokens: Tokens, student: Student, rules: CrossChunkConfig | None, quiet_share: float
) -> None:
    # untrained scores lie close together: the threshold is put where it divides them
    _, scores = select(tokens, Budget(Rule.OMNISIFT, 0.23, 0.5), student.selector)
    quiet_score = float(scores.quantile(quiet_share)) if quiet_share else 0.0
    sizes = replace(selector_config(student.geometry).selector, quiet_score=quiet_score)
    config = CompressorConfig(48, 0.23, 0.5, rules, sizes)
    compressor = TokenCompressor(config, student.selector)

    budget = Budget(Rule.OMNISIFT, 0.23, 0.5, rules, quiet_score)
    kept, _ = select(tokens, budget, student.selector)

    for clip in range(2):
        state, expected = None, []
        for number in range(3):
            chunk = TokenChunk(
                tokens.video[clip, number],
                tokens.audio[clip, number],
                chunk_positions(2.0 * number, [(8, 8)] * 2, 50),
                2.0 * number,
            )
            compressed, state = compressor.compress(chunk, state)
            expected.append(compressed.kept + 178 * number)
        seen = kept.seen[clip]
        assert torch.equal(kept.index[clip][seen], torch.cat(expected))
        flat = torch.cat([tokens.video.flatten(2, 3), tokens.audio], dim=2).flatten(1, 2)
        assert torch.equal(kept.embeddings[clip][seen], flat[clip][torch.cat(expected)])


def test_random_dropping_keeps_as_many_of_each(tokens: Tokens, student: Student) -> None:
    kept, _ = select(tokens, Budget(Rule.RANDOM, 0.23, 0.5), student.selector)

    place = kept.index % 178
    assert kept.seen.all()
    assert kept.index.shape == (2, 3 * (15 + 15 + 25))
    assert ((place < 64).sum(1) == 45).all()
    assert (kept.index.diff(dim=1) > 0).all()


@pytest.mark.parametrize("rules", [None, RULES], ids=["paper", "live"])
def test_gradient_reaches_the_selector(
    tokens: Tokens, student: Student, rules: CrossChunkConfig | None
) -> None:
    budget = Budget(Rule.OMNISIFT, 0.23, 0.5, rules, quiet_score=0.5)
    kept, _ = select(tokens, budget, student.selector)
    kept.embeddings.square().sum().backward()

    gradients = [parameter.grad for parameter in student.selector.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
