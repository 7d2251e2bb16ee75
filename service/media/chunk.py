"""A chunk of media: 2.000 s of video and audio, decoded or as tokens. Knows not its source."""

from dataclasses import dataclass, field

from torch import Tensor

from compressor.tokens import TokenChunk

CHUNK_S = 2.0
GRIDS_PER_CHUNK = 2
FRAMES_PER_GRID = 2
MEL_FRAMES_PER_CHUNK = 200  # 10 ms each; the audio tower's own block, so cutting here is exact
AUDIO_TOKENS_PER_CHUNK = 50  # 40 ms each


@dataclass(frozen=True, slots=True)
class Gap:
    """Media that should have been there and was not.

    Attributes:
        modality: "video" or "audio".
        start_s: Stream time at which it starts.
        duration_s: Its length, above zero.
    """

    modality: str
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of a chunk beside its tokens.

    Attributes:
        cuts_s: Stream times at which a new scene begins.
        onsets_s: Stream times at which a sound begins.
        thumbnail: A small JPEG of its first picture; None without one.
    """

    cuts_s: tuple[float, ...] = ()
    onsets_s: tuple[float, ...] = ()
    thumbnail: bytes | None = field(default=None, repr=False)


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class MediaChunk:
    """The media of stream time `[index * 2 s, (index + 1) * 2 s)`, ready to encode.

    Attributes:
        index: Chunk number since the stream's start; a number may be missing (no media at all).
        grids: One uint8 tensor `[2, 3, H, W]` per temporal grid (1 s, two frames), H and W
            multiples of 28; None where the second has no frame. Empty without a video track.
        mel: Normalised log-mel `[128, F]` float32, F <= 200; F = 0 without audio in this chunk.
        gaps: What is missing, in order of time.
        skew_s: How much later audio arrives than the video of the same instant; None unless both.
        marks: What is known of it so far.
        lead_s: How far stream time was ahead of the clock; above zero after a media file that was
            played faster than real time.
    """

    index: int
    grids: tuple[Tensor | None, ...]
    mel: Tensor
    gaps: tuple[Gap, ...] = ()
    skew_s: float | None = None
    marks: Marks = NO_MARKS
    lead_s: float = 0.0

    @property
    def start_s(self) -> float:
        return self.index * CHUNK_S

    @property
    def end_s(self) -> float:
        return (self.index + 1) * CHUNK_S


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """A chunk as tokens, before compression.

    Attributes:
        index: As in the `MediaChunk`.
        tokens: What the encoders made of it.
        grid_sizes: (rows, columns) of merged tokens per temporal grid, for overlays.
        gaps: As in the `MediaChunk`.
        marks: Likewise.
    """

    index: int
    tokens: TokenChunk
    grid_sizes: tuple[tuple[int, int], ...]
    gaps: tuple[Gap, ...]
    marks: Marks = NO_MARKS
