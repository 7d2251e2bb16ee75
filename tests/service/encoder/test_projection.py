from pathlib import Path

import pytest
import torch

from compressor.omni.checkpoint import load_vision_tower
from service.encoder.projection import project_by_product


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)], ids=str
)
def test_product_equals_the_convolution(
    checkpoint: Path, dtype: torch.dtype, tolerance: float
) -> None:
    tower = load_vision_tower(checkpoint, dtype)
    patches = torch.randn(40, 1176, generator=torch.Generator().manual_seed(0))
    before = tower.patch_embed(patches)

    project_by_product(tower)

    after = tower.patch_embed(patches)
    assert after.dtype == dtype
    torch.testing.assert_close(after, before, rtol=tolerance, atol=tolerance)


def test_weights_keep_their_names_and_memory(checkpoint: Path) -> None:
    tower = load_vision_tower(checkpoint)
    before = {name: weight.data_ptr() for name, weight in tower.named_parameters()}

    project_by_product(tower)

    assert {name: weight.data_ptr() for name, weight in tower.named_parameters()} == before
