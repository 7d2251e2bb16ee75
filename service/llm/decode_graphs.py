"""Decode steps as CUDA graphs: hundreds of small kernels are launched as one.

A step in which every sequence has one new token runs the same kernels in the same places each time,
but for the number of rows. So its inputs and tables are copied into buffers that stay where they
are, made for the next power of two of rows, and what was captured over them is replayed. Rows that
are left over write no key, look at none, and are cut off. Anything else runs eagerly.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.llm.attention import Span
from service.llm.attention_plan import AttentionPlan, PlanSize
from service.llm.pages import PagePool
from service.llm.triton_attention import Tables, TritonAttention, TritonBody

logger = logging.getLogger(__name__)

Run = Callable[[], Tensor]
Capture = Callable[[Run], Run]
"""Makes a run repeatable: what it gives reads the same buffers and returns the same tensor."""

MAX_ERROR = 0.05  # of the largest number: a replay does what was captured, or is far off


class CudaCapture:
    """Captures on CUDA. All graphs share memory: each result is used before the next replay."""

    def __init__(self) -> None:
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run) -> Run:
        """Raises RuntimeError where something in `run` cannot be captured."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # kernels are compiled and libraries set up outside
            run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # what other threads do on the device meanwhile is not captured, and does no harm
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            out = run()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay


class DecodeGraphs:
    """The layers of a text model for steps of single tokens."""

    def __init__(
        self,
        model: PreTrainedModel,
        pool: PagePool,
        body: TritonBody,
        capture: Capture,
        max_rows: int,
    ) -> None:
        self._model = model
        self._pool = pool
        self._body = body
        self._capture = capture
        self._max_rows = max_rows
        self._steps: dict[PlanSize, _Step] = {}
        self._is_broken = False

    def run(self, embeds: Tensor, positions: Tensor, spans: Sequence[Span]) -> Tensor | None:
        """Run the layers and write keys and values, if these rows are for a graph.

        Args:
            embeds: `[rows, H]`.
            positions: `[3, rows]` int64, on the device.
            spans: One per row.

        Returns:
            `[rows, H]`, good until the next call; or None: nothing was done.
        """
        if self._is_broken or len(spans) != len(embeds) or len(spans) > self._max_rows:
            return None
        plan = self._body.plan(self._pool, spans)
        num_rows = 1 << (len(spans) - 1).bit_length()
        size = self._body.decode_size(self._pool, num_rows, plan.tile_lines)
        if not plan.size.fits_into(size):
            return None
        try:
            step = self._steps.get(size) or _Step(self._model, self._pool, size)
            step.load(embeds, positions, plan)
            if size not in self._steps:
                step.replay = self._capture(step.run)
                _check(step.replay()[: len(spans)].clone(), step.run()[: len(spans)])
                self._steps[size] = step
            return step.replay()[: len(spans)]
        except RuntimeError as exc:
            self._is_broken = True
            self._steps.clear()
            logger.warning("decoding without CUDA graphs: they do not work here (%s)", exc)
            return None


def _check(found: Tensor, expected: Tensor) -> None:
    """Raise RuntimeError unless a replay gave what its run does, NaN in the same places."""
    error = MAX_ERROR * float(expected.nan_to_num().abs().max())
    if not torch.allclose(found, expected, rtol=0, atol=error, equal_nan=True):
        raise RuntimeError("a replay differs from what was captured")


class _Step:
    """Buffers for so many rows, and what was captured over them."""

    def __init__(self, model: PreTrainedModel, pool: PagePool, size: PlanSize) -> None:
        device, hidden_size = pool.keys.device, int(model.config.hidden_size)
        self._model = model
        self._tables = Tables(size, device)
        self._embeds = torch.zeros(1, size.rows, hidden_size, dtype=pool.keys.dtype, device=device)
        self._positions = torch.zeros(3, 1, size.rows, dtype=torch.int64, device=device)
        self._attention = TritonAttention(pool, self._tables)
        self.replay: Run = self.run

    def load(self, embeds: Tensor, positions: Tensor, plan: AttentionPlan) -> None:
        """Put a step's inputs into place. Rows left over keep older ones, which nobody reads."""
        self._tables.load(plan)
        self._embeds[0, : len(embeds)].copy_(embeds)
        self._positions[:, 0, : len(embeds)].copy_(positions)

    def run(self) -> Tensor:
        """Returns `[rows, H]`."""
        out = self._model(
            inputs_embeds=self._embeds,
            position_ids=self._positions,
            use_cache=False,
            paged=self._attention,
        )
        hidden = out.last_hidden_state
        assert isinstance(hidden, Tensor)
        return hidden[0]
