"""What is compared: methods by name, at overall keep ratios. Knows nothing about questions."""

from dataclasses import dataclass, replace
from types import MappingProxyType

from compressor.audio import AudioSelector
from compressor.baselines.audio_only import AudioOnlySelector
from compressor.baselines.random_drop import RandomDrop
from compressor.baselines.registry import BASELINE_NAMES, Options, build_baseline
from compressor.config import CompressorConfig, CrossChunkConfig, SelectorConfig
from compressor.pipeline import Compressor, TokenCompressor
from compressor.tokens import TokenCounts
from compressor.training.student import AUDIO_TOKENS, CHUNK_S, GRID

# overall keep ratio: (video, audio); 0.35 and 0.25 as published (arXiv 2602.04804, Table 6)
RATIOS = MappingProxyType(
    {0.5: (0.47, 0.70), 0.35: (0.33, 0.60), 0.25: (0.23, 0.50), 0.15: (0.13, 0.30)}
)
FULL = "full"
LIVE = "omnisift_live"
LIVE_RATIO = 0.25  # of the service's default profile, before it thins
RANDOM_TRAINED = "random_trained"
BASELINES = (RANDOM_TRAINED, *BASELINE_NAMES)
# baselines that answer or choose with weights trained here; audio_only has OmniSIFT's selector
TRAINED = (RANDOM_TRAINED, "audio_only")
METHODS = (
    FULL,
    "omnisift",
    LIVE,
    "omnisift_untrained",
    *BASELINES,
)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What of the live profile may be tuned.

    Attributes:
        rules: Its rules.
        quiet_score: Replaces the checkpoint's; see `SelectorConfig`. None: does not.
    """

    rules: CrossChunkConfig
    quiet_score: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the comparison.

    Attributes:
        method: One of `METHODS`.
        keep_ratio: 1.0 for `full`, else a key of `RATIOS`.
        is_at_live: Whether it keeps as many tokens as `omnisift_live` at this ratio did on the same
            clips, instead of what the ratio says.
        options: Replaces the method's default ones.
    """

    method: str
    keep_ratio: float
    is_at_live: bool = False
    options: Options | LiveOptions | None = None

    @property
    def has_random_weights(self) -> bool:
        """Whether the text model fine-tuned under random drop answers."""
        return self.method == RANDOM_TRAINED


def entries(methods: tuple[str, ...], ratios: tuple[float, ...]) -> list[Entry]:
    """List the rows of a comparison.

    `full` has one, and every method but the live profile a second one at as many tokens as that
    keeps, where it is compared.
    """
    pruning = [method for method in methods if method != FULL]
    rows = [Entry(FULL, 1.0)] if FULL in methods else []
    rows += [Entry(method, ratio) for ratio in ratios for method in pruning]
    if Entry(LIVE, LIVE_RATIO) in rows:
        rows += [Entry(m, LIVE_RATIO, is_at_live=True) for m in pruning if m != LIVE]
    return rows


def as_many(kept: TokenCounts, num_chunks: int) -> tuple[float, float]:
    """Give ratios that spread tokens evenly: the same share of every chunk.

    Args:
        kept: All that was kept of `num_chunks` chunks.
        num_chunks: Of two grids each.

    Returns:
        Video and audio ratio. A chunk holds whole tokens, equally many in both grids: what rounding
        takes from the video goes to the audio, so that the sum is off by half a token per chunk at
        most.
    """
    by_grid = max(1, round(kept.video / num_chunks / CHUNK_S))
    audio = max(1, round(kept.total / num_chunks) - CHUNK_S * by_grid)
    # half a token less than whole, since counts are rounded up
    return (by_grid - 0.5) / GRID, min(1.0, (audio - 0.5) / AUDIO_TOKENS)


def build(
    entry: Entry,
    selector: AudioSelector,
    sizes: SelectorConfig,
    hidden_size: int,
    seed: int = 0,
    ratios: tuple[float, float] | None = None,
) -> Compressor:
    """Build the method of a row.

    Args:
        entry: Which.
        selector: The trained audio selector.
        sizes: Its sizes.
        hidden_size: D.
        seed: Of what is random: the weights of the untrained selector, and what random drop drops.
        ratios: Video and audio ratio; by default those that go with the row's.

    Raises:
        ValueError: On an unknown method or ratio.
    """
    if entry.method == FULL:
        return TokenCompressor(CompressorConfig(hidden_size, 1.0, 1.0, selector=sizes), selector)
    if entry.keep_ratio not in RATIOS:
        raise ValueError(f"keep_ratio {entry.keep_ratio} is none of {', '.join(map(str, RATIOS))}")
    ratios = ratios or RATIOS[entry.keep_ratio]
    config = CompressorConfig(hidden_size, *ratios, selector=sizes)
    if entry.method == "omnisift":
        return TokenCompressor(config, selector)
    if entry.method == "omnisift_untrained":
        # seed 0 is what the trained selector started from
        return TokenCompressor(replace(config, selector=replace(sizes, seed=1 + seed)))
    if isinstance(entry.options, LiveOptions) or entry.method == LIVE:
        return TokenCompressor(_live(config, entry.options), selector)
    if entry.method in ("random", RANDOM_TRAINED):
        return RandomDrop(config, seed)
    if entry.method == "audio_only":
        return AudioOnlySelector(config, selector)
    return build_baseline(entry.method, config, entry.options)


def _live(config: CompressorConfig, options: object) -> CompressorConfig:
    if not isinstance(options, LiveOptions):
        live = CompressorConfig.from_profile("live", hidden_size=config.hidden_size)
        return replace(config, cross_chunk=live.cross_chunk)
    selector = config.selector
    if options.quiet_score is not None:
        selector = replace(selector, quiet_score=options.quiet_score)
    return replace(config, cross_chunk=options.rules, selector=selector)


__all__ = [
    "BASELINES",
    "FULL",
    "LIVE",
    "LIVE_RATIO",
    "METHODS",
    "RANDOM_TRAINED",
    "RATIOS",
    "TRAINED",
    "Entry",
    "LiveOptions",
    "as_many",
    "build",
    "entries",
]
