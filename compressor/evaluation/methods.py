"""What is compared: methods by name, at overall keep ratios. Knows nothing about questions."""

from dataclasses import dataclass, replace
from types import MappingProxyType

from compressor.audio import AudioSelector
from compressor.baselines.random_drop import RandomDrop
from compressor.baselines.registry import BASELINE_NAMES, build_baseline
from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import Compressor, TokenCompressor

# overall keep ratio: (video, audio); 0.35 and 0.25 as published (arXiv 2602.04804, Table 6)
RATIOS = MappingProxyType(
    {0.5: (0.47, 0.70), 0.35: (0.33, 0.60), 0.25: (0.23, 0.50), 0.15: (0.13, 0.30)}
)
FULL = "full"
RANDOM_TRAINED = "random_trained"
METHODS = (
    FULL,
    "omnisift",
    "omnisift_live",
    "omnisift_untrained",
    RANDOM_TRAINED,
    *BASELINE_NAMES,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the comparison.

    Attributes:
        method: One of `METHODS`.
        keep_ratio: 1.0 for `full`, else a key of `RATIOS`.
    """

    method: str
    keep_ratio: float

    @property
    def has_random_weights(self) -> bool:
        """Whether the text model fine-tuned under random drop answers."""
        return self.method == RANDOM_TRAINED


def entries(methods: tuple[str, ...], ratios: tuple[float, ...]) -> list[Entry]:
    """List the rows of a comparison; `full` has one."""
    rows = [Entry(FULL, 1.0)] if FULL in methods else []
    return rows + [Entry(m, ratio) for ratio in ratios for m in methods if m != FULL]


def build(
    entry: Entry,
    selector: AudioSelector,
    sizes: SelectorConfig,
    hidden_size: int,
    seed: int = 0,
) -> Compressor:
    """Build the method of a row.

    Args:
        entry: Which.
        selector: The trained audio selector.
        sizes: Its sizes.
        hidden_size: D.
        seed: Of what is random: the weights of the untrained selector, and what random drop drops.

    Raises:
        ValueError: On an unknown method or ratio.
    """
    if entry.method == FULL:
        return TokenCompressor(CompressorConfig(hidden_size, 1.0, 1.0, selector=sizes), selector)
    if entry.keep_ratio not in RATIOS:
        raise ValueError(f"keep_ratio {entry.keep_ratio} is none of {', '.join(map(str, RATIOS))}")
    config = CompressorConfig(hidden_size, *RATIOS[entry.keep_ratio], selector=sizes)
    if entry.method == "omnisift":
        return TokenCompressor(config, selector)
    if entry.method == "omnisift_untrained":
        # seed 0 is what the trained selector started from
        return TokenCompressor(replace(config, selector=replace(sizes, seed=1 + seed)))
    if entry.method == "omnisift_live":
        live = CompressorConfig.from_profile("live", hidden_size=hidden_size).cross_chunk
        return TokenCompressor(replace(config, cross_chunk=live), selector)
    if entry.method in ("random", RANDOM_TRAINED):
        return RandomDrop(config, seed)
    return build_baseline(entry.method, config)


__all__ = ["FULL", "METHODS", "RANDOM_TRAINED", "RATIOS", "Entry", "build", "entries"]
