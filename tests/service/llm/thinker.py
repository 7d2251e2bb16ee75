"""A small random thinker, once stock and once paged with the same weights, and streams for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerTextModel

from compressor.omni.chat import ChatLayout
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.positions import (
    chunk_positions,
    header_positions,
    stream_base,
    tail_positions,
)
from compressor.omni.tokenizer import byte_tokenizer
from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.clock import Clock
from service.llm.config import EngineConfig
from service.llm.context import Horizon
from service.llm.forward import PackedForward, pool_for
from service.llm.pages import PagePool
from service.llm.prompt import Inputs
from service.llm.scheduler import Scheduler

TOLERANCE = 1e-4
GEOMETRY = Geometry(hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, mlp_size=128)
HIDDEN_SIZE = GEOMETRY.hidden_size


@dataclass(frozen=True)
class Thinker:
    """The stock text model and its head: what ours must equal."""

    model: Qwen2_5OmniThinkerTextModel
    head: nn.Linear

    @torch.inference_mode()
    def logits(
        self,
        embeds: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`[n, H]`, `[3, n]` and perhaps a mask `[n, keys]`, True = seen -> `[n, V]`."""
        out = self.model(
            inputs_embeds=embeds[None],
            position_ids=positions[:, None],
            past_key_values=cache,
            use_cache=cache is not None,
            attention_mask=None if mask is None else mask[None, None],
        )
        return self.head(out.last_hidden_state[0])

    @torch.inference_mode()
    def embed(self, ids: list[int]) -> Tensor:
        return self.model.embed_tokens(torch.tensor(ids))


def build_thinker(seed: int = 0) -> Thinker:
    """Weights are scaled up, since a freshly initialised model attends almost uniformly."""
    config = thinker_config(GEOMETRY).get_text_config()
    config._attn_implementation = "sdpa"
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        model = Qwen2_5OmniThinkerTextModel(config).eval().requires_grad_(False)
        head = nn.Linear(HIDDEN_SIZE, GEOMETRY.vocab_size, bias=False).requires_grad_(False)
    for weight in (*model.parameters(), *head.parameters()):
        if weight.ndim >= 2:
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)
    return Thinker(model, head)


def build_pool(*, num_pages: int = 64, page_tokens: int = 16) -> PagePool:
    return PagePool(
        num_layers=GEOMETRY.num_layers,
        num_kv_heads=GEOMETRY.num_kv_heads,
        head_dim=HIDDEN_SIZE // GEOMETRY.num_heads,
        num_pages=num_pages,
        page_tokens=page_tokens,
    )


def build_forward(
    *, num_pages: int = 64, page_tokens: int = 16, thinker: Thinker | None = None
) -> PackedForward:
    """A paged model of its own, from the same weights as the `thinker` fixture unless given."""
    thinker = thinker or build_thinker()
    pool = pool_for(thinker.model, num_pages=num_pages, page_tokens=page_tokens)
    return PackedForward(thinker.model, thinker.head, pool)


@dataclass(frozen=True)
class Stream:
    """Header and chunks as embeddings and ids: `[n, H]`, `[3, n]`."""

    embeds: Tensor
    positions: Tensor

    def __len__(self) -> int:
        return len(self.embeds)

    def part(self, start: int, stop: int) -> Inputs:
        return Inputs(self.embeds[start:stop], self.positions[:, start:stop].numpy())


def build_stream(seed: int = 0, *, num_chunks: int = 3, num_header: int = 9) -> Stream:
    """Pruned audio-video chunks behind a header; every seed has other numbers of tokens."""
    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    parts = [header_positions(num_header)]
    for number in range(num_chunks):
        ids = chunk_positions(2.0 * number, [(3, 4), (3, 4)], 50) + stream_base(num_header)
        kept = np.flatnonzero(random.random(ids.shape[1]) < 0.4)
        parts.append(ids[:, kept])
    positions = torch.cat(parts, dim=1)
    return Stream(torch.randn(positions.shape[1], HIDDEN_SIZE, generator=generator), positions)


def build_chunk(
    index: int, *, seed: int = 0, keep: float = 0.4, num_audio: int = 50
) -> CompressedChunk:
    """A pruned chunk of two grids of 3 by 4 tokens and audio; always the same for its arguments."""
    random = np.random.default_rng([seed, index])
    ids = chunk_positions(2.0 * index, [(3, 4), (3, 4)], num_audio)
    modality = torch.tensor([Modality.VIDEO] * 24 + [Modality.AUDIO] * num_audio).byte()
    kept = torch.from_numpy(np.flatnonzero(random.random(len(modality)) < keep))
    return CompressedChunk(
        embeddings=torch.from_numpy(random.standard_normal((len(kept), HIDDEN_SIZE))).float(),
        positions=ids[:, kept],
        modality=modality[kept],
        scores=torch.from_numpy(random.random(len(kept))).float(),
        kept=kept,
        start_s=2.0 * index,
        next_position=int(ids.max()) + 1,
        counts_in=TokenCounts(24, num_audio),
        counts_kept=TokenCounts(int((kept < 24).sum()), int((kept >= 24).sum())),
    )


def build_chat() -> ChatLayout:
    return ChatLayout(byte_tokenizer(), thinker_config(GEOMETRY))


def build_scheduler(
    config: EngineConfig | None = None,
    *,
    max_positions: int = 32_768,
    now: Clock = lambda: 0.0,
    thinker: Thinker | None = None,
) -> Scheduler:
    config = config or EngineConfig(num_pages=200, step_tokens=64, context_tokens=1000)
    return Scheduler(
        build_forward(num_pages=config.num_pages, page_tokens=config.page_tokens, thinker=thinker),
        build_chat(),
        config,
        horizon=Horizon(max_positions),
        ids_per_s=25,
        now=now,
    )


def greedy(
    thinker: Thinker, chunks: Sequence[CompressedChunk], question: str, num_tokens: int
) -> list[int]:
    """The stock model's own greedy answer about a stream, one forward per token."""
    chat = build_chat()
    header, tail = chat.header(), chat.tail([("user", question)])
    base = stream_base(len(header))
    end = base + max((chunk.next_position for chunk in chunks), default=0)
    embeds = [thinker.embed(header), *(chunk.embeddings for chunk in chunks), thinker.embed(tail)]
    positions = [
        header_positions(len(header)),
        *(chunk.positions + base for chunk in chunks),
        tail_positions(end, len(tail)),
    ]
    cache = DynamicCache(config=thinker.model.config)
    logits = thinker.logits(torch.cat(embeds), torch.cat(positions, dim=1), cache=cache)[-1]
    answer: list[int] = []
    while len(answer) < num_tokens:
        token_id = int(logits.masked_fill(~chat.allowed_ids(), -torch.inf).argmax())
        if token_id in chat.stop_ids:
            break
        answer.append(token_id)
        position = int(positions[-1].max()) + len(answer)
        logits = thinker.logits(
            thinker.embed([token_id]), torch.full((3, 1), position), cache=cache
        )[-1]
    return answer
