"""A session for workers to compress, and what to expect of them."""

from collections.abc import Callable

import torch

from compressor.pipeline import StreamState, TokenCompressor
from service.compression.worker import CompressorWorker
from service.sessions.record import ChunkRecord, SessionId
from service.stages import EncodedChunk

SID = SessionId("s1")
MakeWorker = Callable[..., CompressorWorker]


def value(worker: CompressorWorker, name: str, **labels: str) -> float:
    return worker._metrics.registry.get_sample_value(name, labels) or 0.0


def assert_compressed(
    record: ChunkRecord, compressor: TokenCompressor, chunk: EncodedChunk, state: StreamState | None
) -> StreamState:
    expected, state = compressor.compress(chunk.tokens, state)
    assert torch.equal(record.compressed.kept, expected.kept)
    assert torch.equal(record.compressed.embeddings, expected.embeddings)
    assert (record.grid_sizes, record.gaps) == (chunk.grid_sizes, chunk.gaps)
    return state
