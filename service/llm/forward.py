"""One packed forward of the text model for any mix of appends, prefills and decodes.

Knows nothing about sessions, questions or sampling.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.errors import BadRequest, EngineUnavailable, ServiceError
from service.llm.attention import AttentionBody, Span, use_paged_attention
from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from service.llm.prompt import Inputs
from service.llm.sequence import PagedSequence

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Segment:
    """What one sequence feeds to a forward: inputs of 1 token or more, with room reserved."""

    sequence: PagedSequence
    inputs: Inputs
    needs_logits: bool


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What a forward gives for one segment.

    Attributes:
        logits: `[V]` after its last token; None where none were asked for, or on an error.
        error: Why its sequence is not to be used as it is: `BadRequest` where the inputs led to
            NaN or infinity, `EngineUnavailable` where the model failed.
    """

    logits: Tensor | None = None
    error: ServiceError | None = None


def pool_for(model: PreTrainedModel, *, num_pages: int, page_tokens: int) -> PagePool:
    """Make a page pool that fits a text model, in its dtype and beside its weights."""
    config = model.config
    head_dim = getattr(config, "head_dim", None)
    return PagePool(
        num_layers=config.num_hidden_layers,
        num_kv_heads=config.num_key_value_heads,
        head_dim=head_dim or config.hidden_size // config.num_attention_heads,
        num_pages=num_pages,
        page_tokens=page_tokens,
        dtype=model.dtype,
        device=model.device,
    )


class DecodeRunner(Protocol):
    """Another way to run the layers of a step of single tokens."""

    def run(self, embeds: Tensor, positions: Tensor, spans: Sequence[Span]) -> Tensor | None:
        """Run them, or do nothing and return None; see `DecodeGraphs.run`."""
        ...


class PackedForward:
    """The text model and its head over one page pool."""

    def __init__(
        self,
        text_model: PreTrainedModel,
        head: nn.Module,
        pool: PagePool,
        attention: AttentionBody = GatherAttention,
        decodes: DecodeRunner | None = None,
    ) -> None:
        use_paged_attention(text_model)
        self.pool = pool
        self._model = text_model
        self._head = head
        self._attention = attention
        self._decodes = decodes

    @property
    def hidden_size(self) -> int:
        return int(self._model.config.hidden_size)

    @property
    def rotary(self) -> nn.Module:
        """The model's rotary embedding."""
        rotary = self._model.rotary_emb
        assert isinstance(rotary, nn.Module)
        return rotary

    def run(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        """Run all segments as one packed row and extend their sequences.

        Where the model fails, or NaN comes out, segments run again alone: those that fail then are
        the ones at fault, and fail no others.

        Args:
            segments: At least one; a sequence appears at most once.

        Returns:
            One result per segment; the sequence of a segment with an error is not extended.
        """
        try:
            results = self._run(segments)
        except RuntimeError:
            if len(segments) > 1:
                return [self._run_alone(segment) for segment in segments]
            logger.exception("the forward of one sequence failed")
            return [SegmentResult(error=EngineUnavailable("the model failed"))]
        if len(segments) > 1:
            # attention may put zero weight on a neighbour's NaN, which is still NaN
            for row, result in enumerate(results):
                if result.error is not None:
                    results[row] = self._run_alone(segments[row])
        return results

    def _run_alone(self, segment: Segment) -> SegmentResult:
        return self.run([segment])[0]

    @torch.inference_mode()
    def _run(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        spans = _lay_out(segments)
        positions = np.concatenate([segment.inputs.positions for segment in segments], axis=1)
        embeds = self._embed(segments, spans)
        hidden = self._layers(embeds, self.pool.on_device(positions), spans)
        last = hidden[[span.stop - 1 for span in spans]]
        is_finite = last.isfinite().all(dim=-1).tolist()
        wanted = [row for row, segment in enumerate(segments) if segment.needs_logits]
        logits = dict(zip(wanted, self._head(last[wanted]), strict=True))
        return [
            _result(span, logits.get(row), is_finite=is_finite[row])
            for row, span in enumerate(spans)
        ]

    def _layers(self, embeds: Tensor, positions: Tensor, spans: Sequence[Span]) -> Tensor:
        """`[total, H]`, `[3, total]` -> `[total, H]`."""
        if self._decodes is not None:
            hidden = self._decodes.run(embeds, positions, spans)
            if hidden is not None:
                return hidden
        out = self._model(
            inputs_embeds=embeds[None],
            position_ids=positions[:, None],
            use_cache=False,
            paged=self._attention(self.pool, spans),
        )
        hidden = out.last_hidden_state[0]
        assert isinstance(hidden, Tensor)
        return hidden

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


def _result(span: Span, logits: Tensor | None, *, is_finite: bool) -> SegmentResult:
    if not is_finite:
        return SegmentResult(error=BadRequest("no finite numbers come out of these inputs"))
    span.sequence.advance(span.num_tokens)
    return SegmentResult(logits)
