"""The compared methods by name. Knows their constructors, nothing of how they work."""

from types import MappingProxyType

from compressor.baselines.audio_only import AudioOnlySelector
from compressor.baselines.baseline import Baseline
from compressor.baselines.dtd import DifferentialTokenDrop
from compressor.baselines.dycoke import TemporalMerge
from compressor.baselines.omnizip import AudioGuidedMerge
from compressor.baselines.random_drop import RandomDrop
from compressor.baselines.stvp_uniform_audio import StvpUniformAudio
from compressor.baselines.tome import BipartiteMerge
from compressor.baselines.uniform import UniformDrop
from compressor.config import CompressorConfig

_BASELINES: MappingProxyType[str, type[Baseline]] = MappingProxyType(
    {
        "random": RandomDrop,
        "uniform": UniformDrop,
        "dtd": DifferentialTokenDrop,
        "dycoke": TemporalMerge,
        "omnizip": AudioGuidedMerge,
        "tome": BipartiteMerge,
        "audio_only": AudioOnlySelector,
        "stvp_uniform_audio": StvpUniformAudio,
    }
)
BASELINE_NAMES = tuple(_BASELINES)


def build_baseline(name: str, config: CompressorConfig) -> Baseline:
    """Build a method; ratios, width and selector size are the configuration's.

    Args:
        name: One of `BASELINE_NAMES`.
        config: As for `TokenCompressor`.

    Raises:
        ValueError: On an unknown name.
    """
    if name not in _BASELINES:
        raise ValueError(f"unknown baseline {name!r}, one of {', '.join(BASELINE_NAMES)}")
    return _BASELINES[name](config)


__all__ = ["BASELINE_NAMES", "build_baseline"]
