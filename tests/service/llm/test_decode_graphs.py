"""Padded decode steps over fixed buffers against eager ones, in Triton's interpreter.

Capturing calls the same run again here; what CUDA makes of it is in tests/gpu.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from service.llm.decode_graphs import Capture, DecodeGraphs, Run
from service.llm.forward import PackedForward, Segment, pool_for
from service.llm.prompt import Inputs
from service.llm.sequence import PagedSequence
from service.llm.triton_attention import TritonBody
from tests.service.llm.interpreted import interpreted_kernels
from tests.service.llm.thinker import TOLERANCE, Thinker, build_forward, build_stream, build_thinker

NUM_HEADS = 4
MAX_ROWS = 8


@pytest.fixture(autouse=True, scope="module")
def _interpreted() -> Iterator[None]:
    with interpreted_kernels():
        yield


class Captures:
    """Counts; each replay runs what was captured once more."""

    def __init__(self) -> None:
        self.num_captures = 0
        self.num_replays = 0

    def __call__(self, run: Run) -> Run:
        self.num_captures += 1

        def replay() -> Tensor:
            self.num_replays += 1
            return run()

        return replay


def build_graphed(thinker: Thinker, capture: Capture, num_programs: int = 4) -> PackedForward:
    pool = pool_for(thinker.model, num_pages=200, page_tokens=16)
    body = TritonBody(NUM_HEADS, num_programs)
    graphs = DecodeGraphs(thinker.model, pool, body, capture, MAX_ROWS)
    return PackedForward(thinker.model, thinker.head, pool, body, graphs)


@pytest.fixture
def paged() -> Thinker:
    """A model of its own, since it is switched to paged attention."""
    return build_thinker()


def run(forward: PackedForward, sequences: list[PagedSequence], tokens: list[list[int]]) -> Tensor:
    """One step, the tokens at the positions behind what each sequence holds; its logits."""
    segments = []
    for sequence, ids in zip(sequences, tokens, strict=True):
        sequence.reserve(len(ids))
        positions = np.arange(sequence.length, sequence.length + len(ids))[None].repeat(3, axis=0)
        segments.append(Segment(sequence, Inputs(np.array(ids), positions), True))
    results = forward.run(segments)
    assert all(result.error is None for result in results)
    return torch.stack([result.logits for result in results if result.logits is not None])


class Twins:
    """The same sequences in two engines."""

    def __init__(self, graphed: PackedForward, eager: PackedForward) -> None:
        self._forwards = (graphed, eager)
        self.sequences: list[tuple[PagedSequence, ...]] = []

    def open(self, num_tokens: int) -> None:
        tokens = [[7 + n % 90 for n in range(num_tokens)]]
        self.sequences.append(tuple(PagedSequence(forward.pool) for forward in self._forwards))
        for forward, sequence in zip(self._forwards, self.sequences[-1], strict=True):
            run(forward, [sequence], tokens)

    def fork(self, number: int) -> None:
        self.sequences.append(tuple(sequence.fork() for sequence in self.sequences[number]))

    def close(self, number: int) -> None:
        for sequence in self.sequences.pop(number):
            sequence.release()

    def check_step(self, seed: int) -> None:
        tokens = [[10 + (seed * 13 + n * 7) % 80] for n in range(len(self.sequences))]
        found, expected = (
            run(forward, list(sequences), tokens)
            for forward, sequences in zip(
                self._forwards, zip(*self.sequences, strict=True), strict=True
            )
        )
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


def test_steps_equal_eager_ones_while_sequences_come_and_go(paged: Thinker) -> None:
    captures = Captures()
    twins = Twins(build_graphed(paged, captures), build_forward(thinker=paged, num_pages=200))
    changes: list[Callable[[], None]] = [
        lambda: twins.open(270),
        lambda: twins.open(15),
        lambda: twins.fork(0),
        lambda: twins.fork(0),
        lambda: twins.close(0),
        lambda: twins.open(3),
    ]

    for seed, change in enumerate(changes):
        change()
        twins.check_step(seed)

    num_sizes = 3  # for 1, 2 and 4 rows
    assert captures.num_captures == num_sizes
    assert captures.num_replays == len(changes) + num_sizes


def test_rows_that_are_left_over_write_nothing(paged: Thinker) -> None:
    forward = build_graphed(paged, Captures())
    sequences = [PagedSequence(forward.pool) for _ in range(3)]
    run(forward, sequences, [[5, 6], [7, 8, 9], [10]])
    slots = [int(sequence.slots(sequence.length - 1, sequence.length)[0]) for sequence in sequences]
    before = forward.pool.keys.clone()

    for _ in range(2):
        run(forward, sequences, [[11], [12], [13]])

    changed = (forward.pool.keys != before).any(-1).any(-1).any(0).flatten().nonzero().flatten()
    assert changed.tolist() == sorted(slot + n for slot in slots for n in (1, 2))


@pytest.mark.parametrize("tokens", [[[5, 6], [7]], [[5]] * (MAX_ROWS + 1)], ids=["mixed", "many"])
def test_other_steps_run_eagerly(paged: Thinker, tokens: list[list[int]]) -> None:
    captures = Captures()
    forward = build_graphed(paged, captures)

    run(forward, [PagedSequence(forward.pool) for _ in tokens], tokens)

    assert captures.num_captures == 0


def refuse(_: Run) -> Run:
    raise RuntimeError("operation not permitted when stream is capturing")


def repeat_the_first(run: Run) -> Run:
    first = run().clone() + 1
    return lambda: first


@pytest.mark.parametrize(
    ("capture", "reason"),
    [(refuse, "not permitted"), (repeat_the_first, "differs")],
    ids=["refused", "wrong"],
)
def test_graphs_that_do_not_work_are_given_up_with_one_warning(
    paged: Thinker, capture: Capture, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    twins = Twins(build_graphed(paged, capture), build_forward(thinker=paged, num_pages=200))
    twins.open(20)
    twins.open(3)

    twins.check_step(0)
    twins.check_step(1)

    assert [reason in record.message for record in caplog.records] == [True]


def test_prefills_by_triton_equal_the_stock_model(paged: Thinker, thinker: Thinker) -> None:
    forward = build_graphed(paged, Captures())
    stream = build_stream()
    sequence = PagedSequence(forward.pool)
    expected = thinker.logits(stream.embeds, stream.positions)

    for start, stop in [(0, 30), (30, 31), (31, len(stream))]:
        sequence.reserve(stop - start)
        [result] = forward.run([Segment(sequence, stream.part(start, stop), True)])
        assert result.logits is not None
        torch.testing.assert_close(result.logits, expected[stop - 1], atol=TOLERANCE, rtol=0)
