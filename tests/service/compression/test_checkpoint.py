import logging
from pathlib import Path

import pytest
import torch

from compressor.omni.checkpoint import SELECTOR, load_selector_state
from compressor.omni.export import write_checkpoint
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tiny import tiny_tensors, write_tiny_checkpoint
from compressor.omni.tokenizer import byte_tokenizer
from service.compression.checkpoint import load_selector


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def test_selector_has_the_stored_weights_in_float32(checkpoint: Path) -> None:
    selector = load_selector(checkpoint)

    stored = load_selector_state(checkpoint)
    assert stored is not None
    assert selector.state_dict().keys() == stored.keys()
    for name, tensor in selector.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, stored[name].float())
    assert not any(parameter.requires_grad for parameter in selector.parameters())
    assert not selector.training


def test_checkpoint_without_a_selector_is_told(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    geometry = Geometry()
    tensors = {
        name: tensor
        for name, tensor in tiny_tensors(0, geometry).items()
        if not name.startswith(SELECTOR)
    }
    folder = write_checkpoint(
        tmp_path / "plain", thinker_config(geometry), tensors, byte_tokenizer()
    )

    with caplog.at_level(logging.WARNING):
        selector = load_selector(folder)

    assert "untrained" in caplog.text
    again = load_selector(folder).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in selector.state_dict().items())
    assert selector.v_proj.in_features == load_selector(checkpoint).v_proj.in_features


def test_absent_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_selector(tmp_path)
