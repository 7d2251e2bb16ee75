"""Chunks of equal shapes as one batch: grouping, stacking, checks. Decides nothing about tokens."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.tokens import TokenChunk, TokenCounts
from compressor.video import StreamState

# of embeddings stacked in host memory: beyond it, copying costs more than large products save
HOST_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A chunk to compress: place in the call, state of its stream, reference of its first grid."""

    place: int
    chunk: TokenChunk
    state: StreamState
    reference: Tensor | None

    @property
    def kind(self) -> tuple[object, ...]:
        """What requests must have in common to be stacked."""
        chunk, video = self.chunk, self.chunk.video
        shapes = tuple(grid.shape for grid in video) if isinstance(video, tuple) else video.shape
        kind = (shapes, chunk.audio.shape, chunk.audio.dtype, chunk.audio.device)
        return (*kind, chunk.positions.device, self.reference is None)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B requests of one kind, stacked.

    Attributes:
        requests: The B requests.
        grids: T temporal grids, `[B, P_t, D]` each.
        audio: `[B, A, D]`.
        positions: `[B, 3, N]`.
        reference: `[B, P_1, D]`, or None.
    """

    requests: tuple[Request, ...]
    grids: tuple[Tensor, ...]
    audio: Tensor
    positions: Tensor
    reference: Tensor | None

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "Batch":
        chunks = [request.chunk for request in requests]
        grids = zip(*(chunk.grids for chunk in chunks), strict=True)
        references = [one.reference for one in requests if one.reference is not None]
        return cls(
            requests=tuple(requests),
            grids=tuple(_stack(same) for same in grids),
            audio=_stack([chunk.audio for chunk in chunks]),
            positions=_stack([chunk.positions for chunk in chunks]),
            reference=_stack(references) if references else None,
        )

    @property
    def counts(self) -> TokenCounts:
        """Tokens of each of the chunks."""
        return TokenCounts(sum(grid.shape[1] for grid in self.grids), self.audio.shape[1])

    def next_positions(self) -> list[int]:
        """1 + the highest id of each chunk, 0 for an empty one; waits if they are on a device."""
        if not self.counts.total:
            return [0] * len(self.requests)
        return [int(highest) + 1 for highest in self.positions.amax(dim=(1, 2)).tolist()]

    @torch.no_grad()
    def check_finite(self) -> None:
        """Look for NaN and infinity; one pass over the data and one wait for the device.

        Raises:
            ValueError: Names the first chunk concerned by its place, the part and the number of
                values.
        """
        parts = [part for part in (*self.grids, self.audio) if part.numel()]
        # extremes carry NaN and infinity, and are far cheaper than a mask of every value
        extremes = [extreme for part in parts for extreme in torch.aminmax(part)]
        if not parts or bool(torch.stack(extremes).isfinite().all()):
            return
        for request in self.requests:
            _refuse_non_finite(request)


def check_width(place: int, chunk: TokenChunk, hidden_size: int) -> None:
    """Refuse a chunk of another width.

    Raises:
        ValueError: Names the chunk by its place, and both widths.
    """
    if chunk.hidden_size != hidden_size:
        raise ValueError(
            f"chunk {place}: embeddings have D={chunk.hidden_size}, "
            f"the compressor is for D={hidden_size}"
        )


def group_by_kind(requests: Iterable[Request]) -> list[Batch]:
    """Stack requests of one kind, kinds in order of appearance.

    In host memory a batch holds at most `HOST_BATCH_BYTES` of embeddings, or one chunk; on a device
    all chunks of a kind are one batch.
    """
    groups: dict[tuple[object, ...], list[Request]] = {}
    for request in requests:
        groups.setdefault(request.kind, []).append(request)
    return [Batch.of(part) for group in groups.values() for part in _parts(group)]


def _parts(group: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """Cut requests of one kind into what is stacked at once."""
    chunk, size = group[0].chunk, len(group)
    if chunk.audio.device.type == "cpu":
        chunk_bytes = chunk.num_tokens * chunk.hidden_size * chunk.audio.element_size()
        size = max(1, HOST_BATCH_BYTES // max(1, chunk_bytes))
    for start in range(0, len(group), size):
        yield group[start : start + size]


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    """Stack; a single tensor is viewed, not copied."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tuple(tensors))


def _refuse_non_finite(request: Request) -> None:
    chunk = request.chunk
    named = {f"video grid {index}": grid for index, grid in enumerate(chunk.grids)}
    for name, part in (named | {"audio": chunk.audio}).items():
        num_bad = int((~part.isfinite()).sum())
        if num_bad:
            raise ValueError(
                f"chunk {request.place}: {name} {list(part.shape)} has {num_bad} values that are "
                "NaN or infinite"
            )


__all__ = ["HOST_BATCH_BYTES", "Batch", "Request", "check_width", "group_by_kind"]
