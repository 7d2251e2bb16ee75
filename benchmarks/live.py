"""An engine under test and made-up streams in it. Latency does not depend on what they show.

A stream is chunks of 224 by 224 pixels with audio, of which the `paper-25` profile keeps 55 tokens.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.omni.chat import ChatLayout
from compressor.omni.checkpoint import load_config, load_text_model, load_tokenizer
from compressor.omni.positions import chunk_positions
from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.llm.config import EngineConfig
from service.llm.context import Horizon
from service.llm.engine import Message, Question, Sampling, TokenDelta
from service.llm.forward import PackedForward, pool_for
from service.llm.paged_engine import PagedEngine
from service.llm.scheduler import Scheduler
from service.sessions.record import SessionId

ROWS = COLUMNS = 8
NUM_VIDEO = 2 * ROWS * COLUMNS
NUM_AUDIO = 50
KEPT_VIDEO, KEPT_AUDIO = 30, 25
CHUNK_TOKENS = KEPT_VIDEO + KEPT_AUDIO
CHUNKS_PER_MINUTE = 30
QUESTION = "What is happening right now?"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where weights come from and go to."""

    folder: Path
    device: torch.device
    dtype: torch.dtype


def make_chunk(index: int, hidden_size: int) -> CompressedChunk:
    """Make a chunk of a stream; its embeddings are random."""
    kept = torch.cat(
        [
            torch.linspace(0, NUM_VIDEO - 1, KEPT_VIDEO).long(),
            NUM_VIDEO + torch.linspace(0, NUM_AUDIO - 1, KEPT_AUDIO).long(),
        ]
    )
    ids = chunk_positions(2.0 * index, [(ROWS, COLUMNS)] * 2, NUM_AUDIO)
    return CompressedChunk(
        embeddings=torch.randn(CHUNK_TOKENS, hidden_size),
        positions=ids[:, kept],
        modality=torch.where(kept < NUM_VIDEO, Modality.VIDEO, Modality.AUDIO).to(torch.uint8),
        scores=torch.zeros(CHUNK_TOKENS),
        kept=kept,
        start_s=2.0 * index,
        next_position=int(ids.max()) + 1,
        counts_in=TokenCounts(NUM_VIDEO, NUM_AUDIO),
        counts_kept=TokenCounts(KEPT_VIDEO, KEPT_AUDIO),
    )


class LiveBench:
    """An engine whose answers are as long as asked for, and streams in it.

    Attributes:
        layer_weights: Weights that every token meets.
        weight_bytes: Of those and the head, which tokens meet after which another is drawn.
        kv_token_bytes: Of one token in the cache, keys and values in all layers.
    """

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        thinker = load_config(checkpoint.folder)
        chat = ChatLayout(load_tokenizer(checkpoint.folder), thinker)
        chat.stop_ids = frozenset()
        model, head = load_text_model(checkpoint.folder, checkpoint.dtype, checkpoint.device)
        pool = pool_for(model, num_pages=config.num_pages, page_tokens=config.page_tokens)
        self.hidden_size = int(model.config.hidden_size)
        self.layer_weights = sum(weight.numel() for weight in model.layers.parameters())
        self.weight_bytes = (self.layer_weights + head.weight.numel()) * head.weight.itemsize
        self.kv_token_bytes = 2 * pool.keys[:, 0, 0].numel() * pool.keys.itemsize
        self.engine = PagedEngine(
            Scheduler(
                PackedForward(model, head, pool),
                chat,
                config,
                horizon=Horizon(int(model.config.max_position_embeddings)),
                ids_per_s=25,
                now=time.perf_counter,
            )
        )
        self.engine.warm_up()
        self._num_asked = 0

    async def stream(self, name: str, first: int, last: int) -> None:
        """Append chunks `first` to `last` - 1 to a session; opens it before chunk 0."""
        session_id = SessionId(name)
        if first == 0:
            await self.engine.open(session_id, None)
        for index in range(first, last):
            await self.engine.append(session_id, make_chunk(index, self.hidden_size))

    async def ttfts_s(self, names: Sequence[str], num_rounds: int) -> dict[str, list[float]]:
        """Seconds to the first token; sessions take turns, so that all meet the same machine."""
        times_s: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(num_rounds):
            for name in names:
                times_s[name].append(await self._ttft_s(name))
        return times_s

    async def decode_tokens_per_s(self, names: Sequence[str], num_tokens: int) -> float:
        """Tokens per second of answers given at once, one per name, once all have begun."""
        times_s = await asyncio.gather(*(self._token_times_s(name, num_tokens) for name in names))
        begin_s, end_s = max(times[0] for times in times_s), min(times[-1] for times in times_s)
        num_between = sum(begin_s < at_s <= end_s for times in times_s for at_s in times)
        return num_between / (end_s - begin_s)

    async def _ttft_s(self, name: str) -> float:
        began_s = time.perf_counter()
        [token_s] = await self._token_times_s(name, 1)
        return token_s - began_s

    async def _token_times_s(self, name: str, num_tokens: int) -> list[float]:
        self._num_asked += 1
        question = Question(
            str(self._num_asked), (Message("user", QUESTION),), Sampling(max_tokens=num_tokens)
        )
        return [
            time.perf_counter()
            async for item in self.engine.ask(SessionId(name), question)
            if isinstance(item, TokenDelta)
        ]


__all__ = ["CHUNKS_PER_MINUTE", "CHUNK_TOKENS", "QUESTION", "Checkpoint", "LiveBench", "make_chunk"]
