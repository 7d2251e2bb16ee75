from dataclasses import replace

import pytest
import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from benchmarks.chunks import ChunkShape, make_media
from benchmarks.models import CheckpointModels, Models, models_of, seven_b_thinker
from compressor.weights import EMBEDDED_MODEL
from tests.benchmarks.small import GEOMETRY, SMALL

CPU = torch.device("cpu")


def test_seven_b_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        thinker = Qwen2_5OmniThinkerForConditionalGeneration(seven_b_thinker())

    parts = (thinker.model.audio_tower, thinker.model.visual, thinker.model.language_model)
    counts = [sum(weight.numel() for weight in part.parameters()) for part in parts]

    assert [round(count / 1e9, 3) for count in counts] == [0.640, 0.677, 7.071]
    assert thinker.lm_head.weight.shape == (152_064, 3584)


@pytest.mark.parametrize(
    "models",
    [SMALL, CheckpointModels(EMBEDDED_MODEL, CPU, torch.float32)],
    ids=["random", "checkpoint"],
)
def test_parts_fit_together(models: Models) -> None:
    width = models.thinker.get_text_config().hidden_size

    [encoded] = models.encoder().encode([make_media(ChunkShape(4), seed=0)])
    model, head = models.text_model()

    assert (
        encoded.tokens.hidden_size
        == width
        == head.in_features
        == models.stock().lm_head.in_features
    )
    assert (
        models.selector()(encoded.tokens.grids[0][None], encoded.tokens.audio[None])
        .isfinite()
        .all()
    )
    assert len(models.chat().allowed_ids()) == head.out_features == model.config.vocab_size


def test_random_weights_are_made_in_their_dtype_and_frequencies_in_full() -> None:
    model, head = replace(SMALL, dtype=torch.bfloat16).text_model()

    assert all(weight.dtype == torch.bfloat16 for weight in model.parameters())
    assert head.weight.dtype == torch.bfloat16
    assert model.rotary_emb.inv_freq.dtype == torch.float32
    assert not any(weight.requires_grad for weight in model.parameters())


def test_size_names_the_model() -> None:
    assert models_of("embedded", CPU, torch.float32).thinker.get_text_config().hidden_size < 1000
    assert models_of("7b", CPU, torch.bfloat16).thinker.get_text_config().hidden_size == 3584
    assert SMALL.thinker.get_text_config().hidden_size == GEOMETRY.hidden_size
