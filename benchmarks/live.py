"""An engine under test and made-up streams in it. Latency does not depend on what they show.

Times are those of `benchmarks.hardware.timer_of`.
"""

import asyncio
from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from benchmarks.chunks import ChunkShape, make_compressed
from benchmarks.engines import build_scheduler, kv_token_bytes, layer_weights
from benchmarks.hardware import timer_of
from benchmarks.models import Models
from service.llm.config import EngineConfig
from service.llm.engine import Message, Question, Sampling, TokenDelta
from service.llm.paged_engine import PagedEngine
from service.sessions.record import SessionId

QUESTION = "What is happening right now?"


class LiveBench:
    """An engine whose answers are as long as asked for, and streams in it.

    Attributes:
        shape: Of the streams' chunks.
        layer_weights: Weights that every token meets.
        weight_bytes: Of those and the head, which tokens meet after which another is drawn.
        kv_token_bytes: Of one token in the cache, keys and values in all layers.
    """

    def __init__(
        self,
        models: Models,
        text: tuple[PreTrainedModel, nn.Linear],
        shape: ChunkShape,
        config: EngineConfig,
    ) -> None:
        model, head = text
        self.shape = shape
        self.layer_weights = layer_weights(model)
        self.weight_bytes = (self.layer_weights + head.weight.numel()) * head.weight.itemsize
        self.kv_token_bytes = kv_token_bytes(model)
        scheduler = build_scheduler(models, text, config)
        # in host memory, as they come from the log
        self._embeddings = torch.randn(shape.num_tokens, scheduler.hidden_size).to(model.dtype)
        self.engine = PagedEngine(scheduler)
        self.engine.warm_up()
        self._timer = timer_of(model.device)
        self._num_asked = 0

    async def stream(self, name: str, first: int, last: int) -> None:
        """Append chunks `first` to `last` - 1 to a session; opens it before chunk 0."""
        session_id = SessionId(name)
        if first == 0:
            await self.engine.open(session_id, None)
        for index in range(first, last):
            chunk = make_compressed(self.shape, index, self._embeddings)
            await self.engine.append(session_id, chunk)

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
        began_s = self._timer()
        [token_s] = await self._token_times_s(name, 1)
        return token_s - began_s

    async def _token_times_s(self, name: str, num_tokens: int) -> list[float]:
        self._num_asked += 1
        question = Question(
            str(self._num_asked), (Message("user", QUESTION),), Sampling(max_tokens=num_tokens)
        )
        return [
            self._timer()
            async for item in self.engine.ask(SessionId(name), question)
            if isinstance(item, TokenDelta)
        ]


__all__ = ["QUESTION", "LiveBench"]
