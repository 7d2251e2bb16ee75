"""Stages that answer at once, fail on order and remember what they were given."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from service.llm.engine import Finished, Question, TokenDelta
from service.llm.unit import Unit
from service.media.chunk import EncodedChunk, MediaChunk
from service.sessions.record import ChunkRecord, SessionId
from service.stages import CompressorStage, EncoderStage, LLMStage
from tests.records import make_record
from tests.tensors import make_token_chunk


class Script:
    """What a fake does for a chunk: fail with these errors, one a call, wait at this gate."""

    def __init__(self) -> None:
        self.failures: defaultdict[int, list[Exception]] = defaultdict(list)
        self.gates: dict[int, asyncio.Event] = {}
        self.entered: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def play(self, index: int) -> None:
        self.entered[index].set()
        if self.failures[index]:
            raise self.failures[index].pop(0)
        if index in self.gates:
            await self.gates[index].wait()


class FakeEncoder(EncoderStage):
    """Remembers the chunks it has encoded."""

    def __init__(self) -> None:
        self.script = Script()
        self.chunks: list[MediaChunk] = []

    async def encode(self, chunk: MediaChunk) -> EncodedChunk:
        await self.script.play(chunk.index)
        self.chunks.append(chunk)
        tokens = make_token_chunk(chunk.index, grid_sizes=(3, 3), num_audio=4)
        return EncodedChunk(chunk.index, tokens, ((1, 3), (1, 3)), chunk.gaps)


class FakeCompressor(CompressorStage):
    """Keeps a fixed part of every chunk, logs nothing, remembers what was closed."""

    def __init__(self) -> None:
        self.script = Script()
        self.indices: defaultdict[SessionId, list[int]] = defaultdict(list)
        self.closed: list[SessionId] = []

    async def compress(
        self, session_id: SessionId, chunk: EncodedChunk, *, steal_from: str | None = None
    ) -> ChunkRecord:
        await self.script.play(chunk.index)
        self.indices[session_id].append(chunk.index)
        return make_record(chunk.index)

    async def close(self, session_id: SessionId, *, steal_from: str | None = None) -> None:
        self.closed.append(session_id)


class FakeLLM(LLMStage):
    """Remembers the order in which chunks were appended, and what was closed."""

    def __init__(self) -> None:
        self.script = Script()
        self.indices: defaultdict[SessionId, list[int]] = defaultdict(list)
        self.closed: list[SessionId] = []

    async def append(
        self, session_id: SessionId, record: ChunkRecord, *, steal_from: str | None = None
    ) -> None:
        await self.script.play(record.index)
        self.indices[session_id].append(record.index)

    async def ask(
        self, session_id: SessionId, question: Question, *, steal_from: str | None = None
    ) -> AsyncIterator[TokenDelta | Finished]:
        yield TokenDelta("yes", 1)
        yield Finished("yes", "stop", 8, 1, 0.0, 2.0, 0.01, 0.01)

    async def units(
        self, session_id: SessionId, *, steal_from: str | None = None
    ) -> tuple[Unit, ...]:
        return ()

    async def close(self, session_id: SessionId, *, steal_from: str | None = None) -> None:
        self.closed.append(session_id)
