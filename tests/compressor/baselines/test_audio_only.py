from dataclasses import replace

import torch

from compressor.audio import AudioSelector
from compressor.baselines.audio_only import AudioOnlySelector
from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import TokenCompressor
from tests.tensors import HIDDEN_SIZE, make_token_chunk

SELECTOR = SelectorConfig(width=32, heads=4, head_width=16)
CONFIG = CompressorConfig(HIDDEN_SIZE, 0.25, 0.5, selector=SELECTOR)


def test_audio_is_scored_by_itself() -> None:
    chunk, method = make_token_chunk(), AudioOnlySelector(CONFIG)

    result, _ = method.compress(chunk)

    with torch.no_grad():
        scores = method.selector(chunk.audio[None], chunk.audio[None])[0]
    best = sorted(sorted(range(10), key=lambda i: (-float(scores[i]), i))[:5])
    assert [index - 24 for index in result.kept[6:].tolist()] == best
    assert torch.equal(result.scores[6:], scores[best])


def test_video_does_not_matter_to_audio() -> None:
    chunk, other = make_token_chunk(0), make_token_chunk(1)
    method = AudioOnlySelector(CONFIG)

    one, _ = method.compress(chunk)
    two, _ = method.compress(replace(other, audio=chunk.audio))

    assert torch.equal(one.kept[6:], two.kept[6:])


def test_video_is_omnisifts() -> None:
    chunk = make_token_chunk()

    result, _ = AudioOnlySelector(CONFIG).compress(chunk)

    omnisift, _ = TokenCompressor(CONFIG).compress(chunk)
    assert torch.equal(result.kept[:6], omnisift.kept[:6])


def test_selector_has_the_same_parameters_as_omnisifts_and_may_be_given() -> None:
    selector = AudioSelector(CONFIG)

    method = AudioOnlySelector(CONFIG, selector)

    assert method.selector is selector


def test_training_reaches_every_parameter_and_leaves_values_alone() -> None:
    chunk, method = make_token_chunk(), AudioOnlySelector(CONFIG)
    evaluated, _ = method.compress(chunk)
    assert not evaluated.embeddings.requires_grad

    trained, _ = method.train().compress(chunk)
    trained.embeddings.square().sum().backward()

    assert torch.equal(trained.embeddings, evaluated.embeddings)
    for name, parameter in method.selector.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name
