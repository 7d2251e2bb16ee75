"""A model small enough to run whole in a test."""

from dataclasses import dataclass

import torch

from benchmarks.models import RandomModels
from compressor.omni.geometry import Geometry, thinker_config

GEOMETRY = Geometry(
    hidden_size=32,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    mlp_size=48,
    audio_size=32,
    audio_layers=1,
    audio_heads=2,
    vision_size=32,
    vision_layers=2,
    vision_heads=2,
    selector_size=16,
    selector_heads=2,
)


@dataclass(frozen=True, slots=True)
class SmallModels(RandomModels):
    """Random models of these sizes on the CPU."""

    @property
    def hidden_size(self) -> int:
        return GEOMETRY.hidden_size


SMALL = SmallModels(thinker_config(GEOMETRY), torch.device("cpu"), torch.float32)
