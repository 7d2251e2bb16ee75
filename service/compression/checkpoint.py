"""The audio selector of a checkpoint. Knows nothing about sessions."""

import logging
from pathlib import Path

import torch

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig
from compressor.omni.checkpoint import load_config, load_selector_state, selector_config

logger = logging.getLogger(__name__)


def load_selector(source: str | Path, device: torch.device | str = "cpu") -> AudioSelector:
    """The audio selector, ready for inference, in float32 whatever the model's dtype.

    In bfloat16 the scores of a chunk's audio tokens tie often (see `AudioSelector.forward`). A
    checkpoint without a selector, such as Qwen's own, gets an untrained one, the same in every
    replica, and a warning; video pruning has no weights and works as ever.

    Args:
        source: Checkpoint folder or hub id.
        device: Where it computes.

    Raises:
        FileNotFoundError: If files are missing.
        ValueError: If they are damaged or do not fit together.
    """
    config = load_config(source)
    sizes = selector_config(config)
    hidden_size = int(config.get_text_config().hidden_size)
    selector = AudioSelector(
        CompressorConfig.from_profile("full", hidden_size=hidden_size, selector=sizes)
    )
    state = load_selector_state(source)
    if state is None:
        logger.warning(
            "%s has no audio selector: an untrained one chooses the audio tokens that are kept; "
            "with the profiles speech and full all are kept",
            source,
        )
    else:
        try:
            selector.load_state_dict(state, strict=True)
        except RuntimeError as exc:
            raise ValueError(f"the audio selector of {source} does not fit: {exc}") from exc
    return selector.to(device=device, dtype=torch.float32).requires_grad_(False).eval()


__all__ = ["load_selector"]
