"""How much to keep and by which rules. Knows nothing about tensors.

`keep_ratio` is kept / total. The paper and the official code quote the removed fraction instead.
"""

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self


@dataclass(frozen=True, slots=True)
class SelectorConfig:
    """Size of the audio selector and what its scores mean; the defaults are the published one's.

    Attributes:
        width: Width of its attention.
        heads: Attention heads; divides `width`.
        head_width: Hidden width of the score head.
        seed: Of the initial weights.
        quiet_score: Audio that it scores below this is quiet, 0 to 1; for a selector that was
            trained to tell events from background, so that its scores are probabilities. 0: its
            scores only rank, and nothing is quiet.
    """

    width: int = 512
    heads: int = 8
    head_width: int = 256
    seed: int = 0
    quiet_score: float = 0.0

    def __post_init__(self) -> None:
        if min(self.width, self.heads, self.head_width) < 1 or self.width % self.heads:
            raise ValueError(
                f"heads must divide width and all be >= 1, got width={self.width} "
                f"heads={self.heads} head_width={self.head_width}"
            )
        if not 0 <= self.quiet_score <= 1:
            raise ValueError(f"quiet_score is 0 to 1, got {self.quiet_score}")


@dataclass(frozen=True, slots=True)
class CrossChunkConfig:
    """Rules of the live profiles, which keep less where nothing happens.

    The defaults are starting points that evaluation has to tune. Saliency is 1 - cosine similarity,
    0 (identical) to 2.

    Attributes:
        still_saliency: A token that changed less than this since the grid before is still.
        cut_saliency: A grid whose mean change exceeds this shows a new scene.
        anchor_ratio: Share of a grid's tokens kept however still it is, in (0, 1]; never more than
            the budget, never fewer than one token.
        refresh_chunks: Every so many chunks the first grid is scored without a reference, against
            drift too slow to be seen between neighbours.
        grid_s: Duration of a temporal grid, seconds.
        max_gap_s: A chunk that starts further than this from the end of the last grid, seconds,
            does not follow it.
        audio_anchor_ratio: Share of a chunk's audio tokens kept however quiet it is, evenly spaced,
            in (0, 1]; never more than the budget, never fewer than one token.
    """

    still_saliency: float = 0.05
    cut_saliency: float = 0.6
    anchor_ratio: float = 0.05
    refresh_chunks: int = 15
    grid_s: float = 1.0
    max_gap_s: float = 0.1
    audio_anchor_ratio: float = 0.1

    def __post_init__(self) -> None:
        _check_ratio("anchor_ratio", self.anchor_ratio)
        _check_ratio("audio_anchor_ratio", self.audio_anchor_ratio)
        if not 0 <= self.still_saliency <= 2 or not 0 <= self.cut_saliency <= 2:
            raise ValueError(
                f"saliency is 0 to 2, got still={self.still_saliency} cut={self.cut_saliency}"
            )
        if self.refresh_chunks < 1 or self.grid_s <= 0 or self.max_gap_s < 0:
            raise ValueError(
                f"got refresh_chunks={self.refresh_chunks} grid_s={self.grid_s} "
                f"max_gap_s={self.max_gap_s}"
            )


@dataclass(frozen=True, slots=True)
class CompressorConfig:
    """Everything a `TokenCompressor` needs to know.

    Attributes:
        hidden_size: D, width of the LLM.
        video_keep_ratio: Share of each temporal grid's tokens to keep, in (0, 1]; a ceiling where
            `cross_chunk` is set.
        audio_keep_ratio: Share of the audio tokens to keep, in (0, 1]; a ceiling where
            `cross_chunk` is set and the selector knows what is quiet.
        cross_chunk: Rules for keeping less where nothing happens; None: the same share of every
            chunk, each by itself, the published method.
        selector: The audio selector's size, and what its scores mean.
        is_checked_finite: Whether NaN and infinity are refused. The scores show them, so the check
            costs no pass over the embeddings; on CUDA it waits for the device, once per group of
            equal shapes, however many chunks. False skips it: which tokens are kept is then
            undefined on such input.
    """

    hidden_size: int
    video_keep_ratio: float
    audio_keep_ratio: float
    cross_chunk: CrossChunkConfig | None = None
    selector: SelectorConfig = field(default_factory=SelectorConfig)
    is_checked_finite: bool = True

    def __post_init__(self) -> None:
        if self.hidden_size < 1:
            raise ValueError(f"hidden_size must be >= 1, got {self.hidden_size}")
        _check_ratio("video_keep_ratio", self.video_keep_ratio)
        _check_ratio("audio_keep_ratio", self.audio_keep_ratio)

    @property
    def quiet_score(self) -> float:
        """Score below which audio is dropped as quiet: the selector's, in a live profile.

        0, so nothing is, in a published profile, and where all audio is asked for (ratio 1).
        """
        is_thinned = self.cross_chunk is not None and self.audio_keep_ratio < 1
        return self.selector.quiet_score if is_thinned else 0.0

    @classmethod
    def from_profile(
        cls,
        profile: str,
        *,
        hidden_size: int,
        video_keep_ratio: float | None = None,
        audio_keep_ratio: float | None = None,
        selector: SelectorConfig | None = None,
    ) -> Self:
        """Build the configuration of a named profile.

        Args:
            profile: One of `PROFILE_NAMES`.
            hidden_size: D, width of the LLM.
            video_keep_ratio: Replaces the profile's, in (0, 1].
            audio_keep_ratio: Replaces the profile's, in (0, 1].
            selector: The audio selector's size and score scale; the published one's by default.

        Raises:
            ValueError: On an unknown profile or a ratio out of range.
        """
        if profile not in _PROFILES:
            raise ValueError(f"unknown profile {profile!r}, one of {', '.join(PROFILE_NAMES)}")
        video, audio, cross_chunk = _PROFILES[profile]
        config = cls(hidden_size, video, audio, cross_chunk)
        return replace(
            config,
            video_keep_ratio=video if video_keep_ratio is None else video_keep_ratio,
            audio_keep_ratio=audio if audio_keep_ratio is None else audio_keep_ratio,
            selector=SelectorConfig() if selector is None else selector,
        )


def _check_ratio(name: str, ratio: float) -> None:
    if not 0 < ratio <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {ratio}")


# video keep_ratio, audio keep_ratio, cross-chunk rules; paper-*: arXiv 2602.04804, Table 6
_PROFILES = MappingProxyType(
    {
        "paper-35": (0.33, 0.60, None),
        "paper-25": (0.23, 0.50, None),
        "live": (0.23, 0.50, CrossChunkConfig()),
        "speech": (0.23, 1.0, CrossChunkConfig()),
        "full": (1.0, 1.0, None),
    }
)
PROFILE_NAMES = tuple(_PROFILES)

__all__ = ["PROFILE_NAMES", "CompressorConfig", "CrossChunkConfig", "SelectorConfig"]
