import pytest
import torch
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tokenizer import byte_tokenizer


def test_default_thinker_has_as_many_parameters_as_documented() -> None:
    with torch.device("meta"):
        thinker = Qwen2_5OmniThinkerForConditionalGeneration(thinker_config(Geometry()))

    assert sum(weight.numel() for weight in thinker.parameters()) == pytest.approx(1.8e6, rel=0.05)


@pytest.mark.parametrize("head_size", [16, 32, 48, 64])
def test_rope_sections_fill_half_of_a_head(head_size: int) -> None:
    config = thinker_config(Geometry(hidden_size=4 * head_size))

    assert sum(config.get_text_config().rope_parameters["mrope_section"]) == head_size // 2


def test_ids_are_those_of_the_byte_tokenizer() -> None:
    config, tokenizer = thinker_config(Geometry()), byte_tokenizer()

    assert config.video_token_id == tokenizer.video_token_id
    assert config.audio_start_token_id == tokenizer.audio_bos_token_id
    assert config.vision_start_token_id == tokenizer.vision_bos_token_id
    assert config.get_text_config().vocab_size >= len(tokenizer)


@pytest.mark.parametrize(
    ("geometry", "complaint"),
    [
        (Geometry(hidden_size=130), "hidden_size is 130, not a multiple of 4"),
        (Geometry(num_heads=8, num_kv_heads=3), "num_heads is 8, not a multiple of 3"),
        (Geometry(hidden_size=24), "heads of width 6"),
        (Geometry(selector_size=66), "selector_size is 66"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(geometry: Geometry, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        thinker_config(geometry)
