"""The plain loop and the compressor side by side: equal outcomes first, then times."""

from dataclasses import dataclass, replace

import torch

from benchmarks.plain_loop import PlainLoop
from benchmarks.timing import Repeats, time_in_turn
from benchmarks.workload import Workload, in_dtype
from compressor.pipeline import TokenCompressor
from compressor.tokens import TokenChunk

# of chunks that may be told apart by rounding alone: a batch sums in another order than a loop
MAX_DIFFERING_RATIO = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """Times per chunk at one batch size, milliseconds.

    Attributes:
        workload: Name of the width.
        batch: Chunks compressed at once.
        loop_ms: Plain loop.
        compressor_ms: `TokenCompressor.compress_batch` as configured by default.
        unchecked_ms: The same without the search for NaN, which the loop does not do either.
        speedup: Loop over compressor, median of rounds in turn.
    """

    workload: str
    batch: int
    loop_ms: float
    compressor_ms: float
    unchecked_ms: float
    speedup: float


@dataclass(frozen=True, slots=True, eq=False)
class Contenders:
    """The plain loop and the compressor on the same chunks, with the same weights.

    Attributes:
        workload: What the chunks are like.
        device: Where they are.
        chunks: As the service holds them, position ids in host memory.
        loop_chunks: The same, position ids on the device.
        loop: The plain loop.
        compressor: As configured by default.
        unchecked: Without the search for NaN.
    """

    workload: Workload
    device: torch.device
    chunks: tuple[TokenChunk, ...]
    loop_chunks: tuple[TokenChunk, ...]
    loop: PlainLoop
    compressor: TokenCompressor
    unchecked: TokenCompressor

    @classmethod
    def of(cls, workload: Workload, num_chunks: int, device: torch.device) -> "Contenders":
        """Draw chunks and build both, in float32."""
        chunks = workload.chunks(num_chunks, device)
        compressor = TokenCompressor(workload.config).to(device)
        config = replace(workload.config, is_checked_finite=False)
        return cls(
            workload,
            device,
            tuple(chunks),
            tuple(replace(chunk, positions=chunk.positions.to(device)) for chunk in chunks),
            PlainLoop(compressor.selector, workload.config),
            compressor,
            TokenCompressor(config, compressor.selector),
        )

    def count_differing(self) -> int:
        """Count the chunks of which the two keep different tokens.

        Raises:
            RuntimeError: If there are more than rounding explains.
        """
        with torch.no_grad():
            batched = self.compressor.compress_batch(self.chunks, [None] * len(self.chunks))
        differing = sum(
            pruned.is_kept.nonzero().squeeze(1).tolist() != compressed.kept.tolist()
            for pruned, (compressed, _) in zip(
                self.loop.run(self.loop_chunks), batched, strict=True
            )
        )
        if differing > MAX_DIFFERING_RATIO * len(self.chunks):
            raise RuntimeError(f"{differing} of {len(self.chunks)} chunks keep other tokens")
        return differing

    def in_dtype(self, dtype: torch.dtype) -> "Contenders":
        """The same with embeddings of another dtype; the selector stays in float32."""
        chunks = tuple(in_dtype(chunk, dtype) for chunk in self.chunks)
        pairs = zip(chunks, self.loop_chunks, strict=True)
        on_device = tuple(replace(chunk, positions=one.positions) for chunk, one in pairs)
        return replace(self, chunks=chunks, loop_chunks=on_device)

    def measure(self, batch: int, repeats: Repeats, min_chunks: int) -> Row:
        """Time `batch` chunks at once; a round takes in at least `min_chunks`."""
        num_chunks = max(batch, min(min_chunks, len(self.chunks)))
        timings = time_in_turn(
            {
                "loop": lambda: self.loop.run(self.loop_chunks[:num_chunks]),
                "compressor": lambda: self._compress(self.compressor, batch, num_chunks),
                "unchecked": lambda: self._compress(self.unchecked, batch, num_chunks),
            },
            self.device,
            repeats,
        )
        per_chunk_ms = {
            name: 1e3 * timing.median_s / num_chunks for name, timing in timings.items()
        }
        return Row(
            self.workload.name,
            batch,
            per_chunk_ms["loop"],
            per_chunk_ms["compressor"],
            per_chunk_ms["unchecked"],
            timings["compressor"].speedup_over(timings["loop"]),
        )

    @torch.no_grad()
    def _compress(self, compressor: TokenCompressor, batch: int, num_chunks: int) -> None:
        for start in range(0, num_chunks, batch):
            compressor.compress_batch(self.chunks[start : start + batch], [None] * batch)


__all__ = ["Contenders", "Row"]
