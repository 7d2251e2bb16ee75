"""One packed forward of the text model for any mix of appends, prefills and decodes.

Knows nothing about sessions, questions or sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.llm.attention import AttentionBody, Span, use_paged_attention
from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from service.llm.prompt import Inputs
from service.llm.sequence import PagedSequence


@dataclass(frozen=True, slots=True)
class Segment:
    """What one sequence feeds to a forward: inputs of 1 token or more, with room reserved."""

    sequence: PagedSequence
    inputs: Inputs
    needs_logits: bool


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """What a forward gives.

    Attributes:
        logits: `[W, V]` after the last token of each segment that needs them, in their order.
        is_finite: Whether each segment came out as numbers; its cache is spoilt where not.
    """

    logits: Tensor
    is_finite: list[bool]


class PackedForward:
    """The text model and its head over one page pool."""

    def __init__(
        self,
        text_model: PreTrainedModel,
        head: nn.Module,
        pool: PagePool,
        attention: AttentionBody = GatherAttention,
    ) -> None:
        use_paged_attention(text_model)
        self.pool = pool
        self._model = text_model
        self._head = head
        self._attention = attention

    @property
    def hidden_size(self) -> int:
        return int(self._model.config.hidden_size)

    @property
    def rotary(self) -> nn.Module:
        """The model's rotary embedding."""
        rotary = self._model.rotary_emb
        assert isinstance(rotary, nn.Module)
        return rotary

    @torch.inference_mode()
    def run(self, segments: Sequence[Segment]) -> ForwardResult:
        """Run all segments as one packed row and extend their sequences.

        Args:
            segments: At least one; a sequence appears at most once.

        Raises:
            RuntimeError: The model failed; no sequence has changed its length.
        """
        spans = _lay_out(segments)
        positions = np.concatenate([segment.inputs.positions for segment in segments], axis=1)
        hidden = self._model(
            inputs_embeds=self._embed(segments, spans)[None],
            position_ids=self.pool.on_device(positions)[:, None],
            use_cache=False,
            paged=self._attention(self.pool, spans),
        ).last_hidden_state[0]
        last = hidden[[span.stop - 1 for span in spans]]
        is_finite: list[bool] = last.isfinite().all(dim=-1).tolist()
        for span in spans:
            span.sequence.advance(span.num_tokens)
        wanted = [row for row, segment in enumerate(segments) if segment.needs_logits]
        return ForwardResult(self._head(last[wanted]), is_finite)

    def _embed(self, segments: Sequence[Segment], spans: Sequence[Span]) -> Tensor:
        table = self._model.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        embeds = table.weight.new_empty(spans[-1].stop, self.hidden_size)
        rows, ids = [], []
        for segment, span in zip(segments, spans, strict=True):
            tokens = segment.inputs.tokens
            if isinstance(tokens, Tensor):
                embeds[span.start : span.stop] = tokens
            else:
                rows.append(np.arange(span.start, span.stop))
                ids.append(tokens)
        if ids:
            on_device = self.pool.on_device
            embeds[on_device(np.concatenate(rows))] = table(on_device(np.concatenate(ids)))
        return embeds


def _lay_out(segments: Sequence[Segment]) -> list[Span]:
    spans, start = [], 0
    for segment in segments:
        spans.append(Span(segment.sequence, start, len(segment.inputs)))
        start = spans[-1].stop
    return spans
