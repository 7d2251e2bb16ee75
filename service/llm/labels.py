"""What each cached token of a context is. Pure: knows nothing about pages.

A token's rank is its place by score among the tokens of its modality that came with its unit, so
"the k best" is the same choice whenever it is made, and those of a smaller k are among them. Scores
themselves are not kept: those of video and audio are on different scales, and nothing compares
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.tokens import CompressedChunk
from service.llm.pages import Indices
from service.llm.prompt import is_audio
from service.llm.unit import Unit

HEADER = -1  # in place of a unit's index


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of n tokens.

    Attributes:
        unit_of: `[n]` int64, index of the unit each token came with; -1 for the header.
        is_audio: `[n]` bool, False for video.
        rank: `[n]` int64, from 0, the best.
    """

    unit_of: Indices
    is_audio: NDArray[np.bool_]
    rank: Indices

    @classmethod
    def of_header(cls, num_tokens: int) -> "Labels":
        """Label a header."""
        zeros = np.zeros(num_tokens, dtype=np.int64)
        return cls(np.full(num_tokens, HEADER), zeros.astype(np.bool_), zeros)

    @classmethod
    def of_chunk(cls, chunk: CompressedChunk, index: int) -> "Labels":
        """Label all tokens of a chunk."""
        marks = is_audio(chunk)
        scores = chunk.scores.cpu().numpy()
        rank = np.empty(len(marks), dtype=np.int64)
        for modality in (False, True):
            tokens = np.flatnonzero(marks == modality)
            # stable: of equal scores the first token is the better, on every machine
            best_first = tokens[np.argsort(-scores[tokens], kind="stable")]
            rank[best_first] = np.arange(len(tokens))
        return cls(np.full(len(marks), index), marks, rank)

    def __len__(self) -> int:
        return len(self.unit_of)

    def take(self, tokens: Indices) -> "Labels":
        """Return the labels of some tokens, in the order given."""
        return Labels(self.unit_of[tokens], self.is_audio[tokens], self.rank[tokens])

    @classmethod
    def joined(cls, some: Sequence["Labels"]) -> "Labels":
        """Return all of these labels, one after another."""
        return cls(
            np.concatenate([labels.unit_of for labels in some]),
            np.concatenate([labels.is_audio for labels in some]),
            np.concatenate([labels.rank for labels in some]),
        )

    def held_by(self, units: Sequence[Unit]) -> NDArray[np.bool_]:
        """Mark the header and what units still hold: the best of each modality.

        Args:
            units: Oldest first; tokens of others are not marked.
        """
        indices = np.array([HEADER, *(unit.index for unit in units)])
        all_of_it = len(self)
        video = np.array([all_of_it, *(unit.held.video for unit in units)])
        audio = np.array([all_of_it, *(unit.held.audio for unit in units)])
        place = np.searchsorted(indices, self.unit_of, side="right") - 1
        limit = np.where(self.is_audio, audio[place], video[place])
        marks: NDArray[np.bool_] = (indices[place] == self.unit_of) & (self.rank < limit)
        return marks
