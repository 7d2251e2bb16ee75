"""The compared methods by name. Knows their constructors, nothing of how they work."""

from types import MappingProxyType
from typing import Any

from compressor.baselines.audio_only import AudioOnlySelector
from compressor.baselines.baseline import Baseline
from compressor.baselines.dtd import DifferentialTokenDrop, DtdOptions
from compressor.baselines.dycoke import DycokeOptions, TemporalMerge
from compressor.baselines.omnizip import AudioGuidedMerge, OmnizipOptions
from compressor.baselines.random_drop import RandomDrop
from compressor.baselines.stvp_uniform_audio import StvpUniformAudio
from compressor.baselines.tome import BipartiteMerge, TomeOptions
from compressor.baselines.uniform import UniformDrop, UniformOptions
from compressor.config import CompressorConfig

Options = UniformOptions | DtdOptions | DycokeOptions | OmnizipOptions | TomeOptions

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


def build_baseline(name: str, config: CompressorConfig, options: Options | None = None) -> Baseline:
    """Build a method; ratios, width and selector size are the configuration's.

    Args:
        name: One of `BASELINE_NAMES`.
        config: As for `TokenCompressor`.
        options: What of the method may be tuned; the best found on validation by default.

    Raises:
        ValueError: On an unknown name.
    """
    if name not in _BASELINES:
        raise ValueError(f"unknown baseline {name!r}, one of {', '.join(BASELINE_NAMES)}")
    method: Any = _BASELINES[name]
    built: Baseline = method(config) if options is None else method(config, options)
    return built


__all__ = ["BASELINE_NAMES", "Options", "build_baseline"]
