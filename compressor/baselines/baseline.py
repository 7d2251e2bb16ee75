"""What the compared methods share: checks, order and results. Chooses no token itself."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.assembly import SelectedAudio, Tally, assemble
from compressor.baselines.budget import audio_budget
from compressor.batch import Batch, Request, check_width
from compressor.config import CompressorConfig, CrossChunkConfig
from compressor.pipeline import Compressed
from compressor.tokens import TokenChunk
from compressor.video import PrunedVideo, StreamState


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The tokens of one modality that a method keeps.

    Attributes:
        index: `[K]` int64, ascending indices into the modality's tokens.
        scores: `[K]` float32, importance as the method sees it.
        embeddings: `[K, D]`: rows of the input, or what the method made of them.
    """

    index: Tensor
    scores: Tensor
    embeddings: Tensor

    @classmethod
    def rows(cls, tokens: Tensor, index: Tensor, scores: Tensor | None = None) -> "Kept":
        """Keep rows of `[N, D]` as they are; without scores (`[N]`) all count 1."""
        index = index.to(tokens.device)
        if scores is None:
            scores = torch.ones(len(tokens), device=tokens.device)
        return cls(index, scores[index].float(), tokens[index])


class Baseline(nn.Module, ABC):
    """A method to compare OmniSIFT with, called in the same way.

    Every method keeps as many tokens of a chunk as `TokenCompressor` with the same ratios and no
    `cross_chunk`, in each modality, so that comparisons are at equal tokens: the sum over grids of
    `num_kept(P_t, video_keep_ratio)`, and `num_kept(A, audio_keep_ratio)`. (The published exception
    of a second grid of another size, kept whole, is not imitated.) Common edge rules: without video
    all audio is kept with score 1; without audio the video is pruned as ever; an empty chunk gives
    an empty result.

    None looks past the chunk it is given: what an offline method takes from the whole clip, it
    takes here from the chunk, or from the state that the stream's last chunk left.

    Starts in eval mode. `compress_batch` is a loop: these are for comparison, not for serving.
    """

    def __init__(self, config: CompressorConfig) -> None:
        super().__init__()
        self.config = config
        self.rules = config.cross_chunk or CrossChunkConfig()
        self.eval()

    def compress(self, chunk: TokenChunk, state: StreamState | None = None) -> Compressed:
        """See `TokenCompressor.compress`."""
        return self._compress(0, chunk, state or StreamState())

    def compress_batch(
        self, chunks: Sequence[TokenChunk], states: Sequence[StreamState | None]
    ) -> list[Compressed]:
        """See `TokenCompressor.compress_batch`."""
        pairs = zip(chunks, states, strict=True)
        return [
            self._compress(place, chunk, state or StreamState())
            for place, (chunk, state) in enumerate(pairs)
        ]

    @abstractmethod
    def keep_video(self, chunk: TokenChunk, state: StreamState) -> Kept:
        """Choose among the video tokens of a chunk that has at least one grid."""

    @abstractmethod
    def keep_audio(self, chunk: TokenChunk, num_keep: int, video: Kept) -> Kept:
        """Choose `num_keep` audio tokens of a chunk that has both modalities."""

    def advance(self, chunk: TokenChunk, state: StreamState) -> StreamState:
        """Give what is remembered after the chunk; nothing, unless a method says otherwise."""
        return StreamState()

    def remember(self, chunk: TokenChunk, grid: Tensor, *, num_chunks: int = 0) -> StreamState:
        """Make a state of a grid: a copy of it, to be followed by the chunk after this one."""
        end_s = chunk.start_s + len(chunk.grids) * self.rules.grid_s
        return StreamState(grid.detach().clone(), end_s, num_chunks)

    def _compress(self, place: int, chunk: TokenChunk, state: StreamState) -> Compressed:
        check_width(place, chunk, self.config.hidden_size)
        batch = Batch.of([Request(place, chunk, state, None)])
        if self.config.is_checked_finite:
            batch.check_finite()
        if chunk.grids:
            kept = self.keep_video(chunk, state)
            video, audio = _as_pruned(kept), self._audio(chunk, kept)
        else:
            video, audio = PrunedVideo.empty(batch.audio), SelectedAudio.all_of(batch.audio)
        tally = Tally.of(video, audio)
        return assemble(batch, video, audio, tally)[0], self.advance(chunk, state)

    def _audio(self, chunk: TokenChunk, video: Kept) -> SelectedAudio:
        if len(chunk.audio) == 0:
            return SelectedAudio.all_of(chunk.audio.unsqueeze(0))
        kept = self.keep_audio(chunk, audio_budget(chunk, self.config), video)
        one = (kept.embeddings, kept.index, kept.scores)
        return SelectedAudio(*(tensor.unsqueeze(0) for tensor in one))


def _as_pruned(kept: Kept) -> PrunedVideo:
    one = (kept.embeddings, kept.index, kept.scores)
    return PrunedVideo(*(tensor.unsqueeze(0) for tensor in one))


__all__ = ["Baseline", "Kept"]
