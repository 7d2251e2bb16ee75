"""Methods that OmniSIFT is compared with, behind the same call, at equal token counts."""

from compressor.baselines.audio_only import AudioOnlySelector
from compressor.baselines.baseline import Baseline, Kept
from compressor.baselines.dtd import DifferentialTokenDrop
from compressor.baselines.dycoke import TemporalMerge
from compressor.baselines.omnizip import AudioGuidedMerge
from compressor.baselines.random_drop import RandomDrop
from compressor.baselines.registry import BASELINE_NAMES, build_baseline
from compressor.baselines.stvp_uniform_audio import StvpUniformAudio
from compressor.baselines.tome import BipartiteMerge
from compressor.baselines.uniform import UniformDrop

__all__ = [
    "BASELINE_NAMES",
    "AudioGuidedMerge",
    "AudioOnlySelector",
    "Baseline",
    "BipartiteMerge",
    "DifferentialTokenDrop",
    "Kept",
    "RandomDrop",
    "StvpUniformAudio",
    "TemporalMerge",
    "UniformDrop",
    "build_baseline",
]
