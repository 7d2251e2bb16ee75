import pytest
import torch
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniVisionEncoder,
)

from compressor.omni.geometry import Geometry, thinker_config
from compressor.training.towers import FastAudio, FastVision, patchify

GEOMETRY = Geometry(hidden_size=64, num_heads=4, audio_size=48, vision_size=48)


@pytest.fixture
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8, generator=generator)


@torch.no_grad()
def test_vision_tokens_equal_the_stock_towers(frames: torch.Tensor) -> None:
    torch.manual_seed(0)
    config = thinker_config(GEOMETRY).vision_config
    tower = Qwen2_5OmniVisionEncoder._from_config(config, attn_implementation="sdpa").eval()
    for parameter in tower.parameters():
        parameter.normal_(0, 0.2)
    patches = patchify(frames)

    found = FastVision(tower)(patches)

    grids = torch.tensor([[2, 16, 16]])
    expected = tower(patches.flatten(0, 1), grid_thw=grids).pooler_output
    torch.testing.assert_close(found.flatten(0, 1), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_audio_tokens_equal_the_stock_towers() -> None:
    torch.manual_seed(0)
    config = thinker_config(GEOMETRY).audio_config
    tower = Qwen2_5OmniAudioEncoder._from_config(config, attn_implementation="sdpa").eval()
    mel = torch.randn(3, 128, 200)

    found = FastAudio(tower)(mel)

    lengths = torch.tensor([600])
    stock = tower(mel.transpose(0, 1).flatten(1), feature_lens=lengths).last_hidden_state
    torch.testing.assert_close(found.flatten(0, 1), stock, atol=1e-5, rtol=1e-4)


def test_patches_are_normalised_colours_in_merge_order() -> None:
    frames = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    frames[:, 0, 14:28, 28:42] = 255  # second patch row, third patch column

    patches = patchify(frames)

    reds = patches[0, :, :196].mean(1)
    assert patches.shape == (1, 256, 1176)
    # merged token 1 holds patches (0, 2), (0, 3), (1, 2), (1, 3)
    assert int(reds.argmax()) == 6
