"""A stream in the stock model's own cache, to compare a context with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import apply_rotary_pos_emb

from compressor.tokens import CompressedChunk, TokenCounts
from service.llm.prompt import time_shift
from service.llm.unit import Unit
from tests.service.llm.contexts import HEADER, TAIL
from tests.service.llm.thinker import Thinker

Mark = tuple[int, bool, int]  # unit or -1, is audio, how many of its kind have better scores


def marks_of(chunk: CompressedChunk) -> list[Mark]:
    tokens = list(zip(chunk.modality.tolist(), chunk.scores.tolist(), strict=True))
    unit = round(chunk.start_s / 2)
    return [
        (unit, bool(kind), sum(other == kind and better > score for other, better in tokens))
        for kind, score in tokens
    ]


def is_held(mark: Mark, units: Sequence[Unit]) -> bool:
    unit, is_audio, num_better = mark
    held = {each.index: each.held for each in units}.get(unit, TokenCounts(0, 0))
    return unit < 0 or num_better < (held.audio if is_audio else held.video)


class Reference:
    """The same stream in the stock model's own cache; tokens go and move by plain tensor code."""

    def __init__(self, thinker: Thinker, num_sinks: int = 0) -> None:
        self._thinker = thinker
        self._num_sinks = num_sinks
        self._cache = DynamicCache(config=thinker.model.config)
        self._marks: list[Mark] = []  # per token held
        positions = torch.arange(len(HEADER)).clamp(max=len(HEADER) - 2).expand(3, -1)
        self._feed(thinker.embed(HEADER), positions, [(-1, False, 0)] * len(HEADER))
        self.base = len(HEADER) - 1
        self.origin = 0

    def append(self, chunk: CompressedChunk, unit: Unit) -> None:
        marks = marks_of(chunk)
        is_audio = np.array([audio for _, audio, _ in marks], dtype=np.bool_)
        shift = torch.from_numpy(time_shift(is_audio, self.base - self.origin))
        shift[1:, torch.from_numpy(~is_audio)] = self.base
        kept = [n for n, mark in enumerate(marks) if is_held(mark, [unit])]
        positions = (chunk.positions + shift)[:, kept]
        self._feed(chunk.embeddings[kept], positions, [marks[n] for n in kept])

    def drop_all_but(self, units: Sequence[Unit]) -> None:
        kept = [n for n, mark in enumerate(self._marks) if is_held(mark, units)]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
        self._marks = [self._marks[n] for n in kept]

    def move_to(self, origin: int) -> None:
        delta = self.origin - origin
        shift = torch.zeros(3, 1, len(self._marks), dtype=torch.long)
        for n, (unit, audio, _) in enumerate(self._marks):
            if unit >= self._num_sinks:
                shift[:, 0, n] = torch.tensor([delta, delta * audio, delta * audio])
        cos, sin = self._thinker.model.rotary_emb(torch.zeros(1), shift)
        for layer in self._cache.layers:
            layer.keys, _ = apply_rotary_pos_emb(layer.keys, layer.keys, cos, sin)
        self.origin = origin

    def ask(self, end: int) -> Tensor:
        before = self._cache.get_seq_length()
        first = self.base + end - self.origin
        positions = torch.tensor([first, *range(first, first + len(TAIL) - 1)]).expand(3, -1)
        logits = self._thinker.logits(self._thinker.embed(TAIL), positions, cache=self._cache)
        self._cache.crop(before - self._cache.get_seq_length())
        return logits[-1]

    def _feed(self, embeds: Tensor, positions: Tensor, marks: list[Mark]) -> None:
        self._thinker.logits(embeds, positions, cache=self._cache)
        self._marks += marks
