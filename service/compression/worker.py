"""The compressor stage: owns sessions by lease, prunes their chunks, logs what is kept.

The order is always: acquire the lease, load, compute, commit, answer. Knows nothing about Ray.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig
from compressor.onsets import MIN_QUIET_S, sound_onsets
from compressor.pipeline import TokenCompressor
from compressor.tokens import CompressedChunk, TokenCounts
from service.compression.batcher import CompressionBatcher
from service.compression.checkpoint import load_selector
from service.compression.held import HeldSession, HeldSessions, Sequel
from service.errors import ServiceError, StoreUnavailable, Unprocessable
from service.media.chunk import CHUNK_S, EncodedChunk, Marks
from service.metrics import Metrics
from service.sessions.record import ChunkRecord, SessionConfig, SessionId, Stage
from service.sessions.store import Lease, SessionStore

STAGE = Stage.COMPRESSOR


@dataclass(frozen=True, slots=True)
class CompressorWorkerConfig:
    """Who a worker is and what it may hold.

    Attributes:
        replica: Its name in leases, unique among all replicas ever.
        lease_s: How long a session stays its own without another chunk.
        max_sessions: Sessions remembered; the least recently used are forgotten.
        idle_s: Sessions without a chunk for so long are forgotten.
    """

    replica: str
    lease_s: float = 10.0
    max_sessions: int = 1024
    idle_s: float = 120.0


class CompressorWorker:
    """Satisfies `service.stages.CompressorStage` in one process.

    What it remembers of a session (the last frames, for profiles that compare chunks) is a cache,
    valid under one epoch of the lease: after a change of owner the stream starts afresh behind the
    last logged chunk, which costs some tokens and no correctness.
    """

    def __init__(
        self,
        selector: AudioSelector,
        store: SessionStore,
        metrics: Metrics,
        config: CompressorWorkerConfig,
    ) -> None:
        """Prepare.

        Args:
            selector: Shared by all sessions; its device is where chunks are compressed.
            store: Leases and logs.
            metrics: Of this process.
            config: Name and limits.
        """
        self._selector = selector
        self._store = store
        self._metrics = metrics
        self._config = config
        self._held = HeldSessions(max_sessions=config.max_sessions, idle_s=config.idle_s)
        self._batcher = CompressionBatcher(
            device=selector.v_proj.weight.device,
            on_busy=metrics.busy_seconds_total.labels(stage="compress").inc,
        )

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path,
        store: SessionStore,
        metrics: Metrics,
        *,
        replica: str,
        lease_s: float = 10.0,
        max_sessions: int = 1024,
        device: torch.device | str = "cpu",
    ) -> Self:
        """A worker with the audio selector of a checkpoint folder or hub id.

        Raises:
            FileNotFoundError: If files are missing.
            ValueError: If they are damaged or do not fit together.
        """
        selector = load_selector(source, device)
        config = CompressorWorkerConfig(replica=replica, lease_s=lease_s, max_sessions=max_sessions)
        return cls(selector, store, metrics, config)

    @property
    def num_sessions(self) -> int:
        """Sessions held, those idle for long not counted."""
        self._held.drop_idle(time.monotonic())
        self._count_sessions()
        return len(self._held)

    async def compress(
        self, session_id: SessionId, chunk: EncodedChunk, *, steal_from: str | None = None
    ) -> ChunkRecord:
        """See `CompressorStage.compress`.

        Raises:
            Unprocessable: A later chunk is in the log and this one is not: it came too late.
            AtCapacity: Every session that may be held is busy.
            ValueError: The chunk's tensors are not what the compressor takes.
        """
        self._held.drop_idle(time.monotonic())
        try:
            async with self._held.use(session_id, time.monotonic()) as held:
                return await self._compress(session_id, held, chunk, steal_from)
        finally:
            self._count_sessions()

    async def close(self, session_id: SessionId) -> None:
        """Forget a session and give its lease back; unknown sessions are ignored."""
        async with self._held.use(session_id, time.monotonic()) as held:
            if held.epoch:
                lease = Lease(session_id, STAGE, self._config.replica, held.epoch, is_new=False)
                # it ends by itself where the store cannot be told
                with contextlib.suppress(ServiceError):
                    await self._store.release(lease)
            held.forget()
        self._count_sessions()

    async def drain(self) -> None:
        """Give back all leases, so that the next call for a session moves it at once."""
        await asyncio.gather(*(self.close(session_id) for session_id in self._held.ids))

    async def aclose(self) -> None:
        """Stop computing; leases end by themselves."""
        self._batcher.close()

    async def _compress(
        self,
        session_id: SessionId,
        held: HeldSession,
        chunk: EncodedChunk,
        steal_from: str | None,
    ) -> ChunkRecord:
        lease, compressor = await self._own(session_id, held, steal_from)
        if chunk.index <= held.last_index:
            return await self._logged(session_id, chunk.index, held.last_index)
        compressed, state = await self._batcher.compress(compressor, chunk.tokens, held.state)
        marks, heard_until_s = self._marks(compressor, compressed, held, chunk.marks)
        record = ChunkRecord(
            chunk.index, held.last_index, compressed, chunk.grid_sizes, chunk.gaps, marks
        )
        # logged or not, should this be cut short: the next call looks
        held.unsettled = Sequel(chunk.index, state, heard_until_s)
        try:
            # False: the reply to an earlier sending was lost; nobody else writes under this epoch
            await self._store.append_chunk(lease, record)
        except StoreUnavailable:
            raise
        except Exception:
            held.forget()
            raise
        held.advance(held.unsettled)
        self._count_tokens(compressed)
        return record

    def _marks(
        self,
        compressor: TokenCompressor,
        compressed: CompressedChunk,
        held: HeldSession,
        marks: Marks,
    ) -> tuple[Marks, float]:
        """Add what the scores show; beside it, until when something was heard."""
        quiet_score = compressor.config.selector.quiet_score
        onsets_s, until_s = sound_onsets(compressed, quiet_score, held.heard_until_s)
        return replace(marks, onsets_s=onsets_s), until_s

    async def _own(
        self, session_id: SessionId, held: HeldSession, steal_from: str | None
    ) -> tuple[Lease, TokenCompressor]:
        try:
            lease = await self._store.claim(
                session_id,
                STAGE,
                self._config.replica,
                ttl_s=self._config.lease_s,
                steal_from=steal_from,
            )
            if held.compressor is None or held.epoch != lease.epoch:
                return lease, await self._load(held, lease)
            if held.unsettled is not None:
                held.settle((await self._store.get(session_id)).last_index)
        except StoreUnavailable:
            raise  # what is held is of an epoch: it is good for as long as that one is
        except ServiceError:
            held.forget()
            raise
        return lease, held.compressor

    async def _load(self, held: HeldSession, lease: Lease) -> TokenCompressor:
        session = await self._store.get(lease.session_id)
        compressor = TokenCompressor(self._compressor_config(session.config), self._selector)
        held.epoch, held.last_index = lease.epoch, session.last_index
        held.compressor, held.state, held.unsettled = compressor, None, None
        # a sound that goes on is not to begin again with another replica
        is_begun = session.last_index >= 0
        held.heard_until_s = (session.last_index + 1) * CHUNK_S if is_begun else -MIN_QUIET_S
        if lease.is_new and session.num_chunks:
            self._metrics.rebuilds_total.labels(stage=STAGE).inc()
        return compressor

    def _compressor_config(self, chosen: SessionConfig) -> CompressorConfig:
        return CompressorConfig.from_profile(
            chosen.profile,
            hidden_size=self._selector.v_proj.in_features,
            video_keep_ratio=chosen.video_keep_ratio,
            audio_keep_ratio=chosen.audio_keep_ratio,
            selector=self._selector.config,
        )

    async def _logged(self, session_id: SessionId, index: int, last_index: int) -> ChunkRecord:
        record = await self._store.chunk(session_id, index)
        if record is None:
            raise Unprocessable(f"chunk {index} came after chunk {last_index}", field="index")
        return record

    def _count_tokens(self, chunk: CompressedChunk) -> None:
        for modality in ("video", "audio"):
            num_in, num_kept = _of(chunk.counts_in, modality), _of(chunk.counts_kept, modality)
            self._metrics.tokens_total.labels(modality=modality, stage="in").inc(num_in)
            self._metrics.tokens_total.labels(modality=modality, stage="kept").inc(num_kept)
            if num_in:
                self._metrics.keep_ratio.labels(modality=modality).observe(num_kept / num_in)

    def _count_sessions(self) -> None:
        self._metrics.sessions_active.labels(stage=STAGE).set(len(self._held))


def _of(counts: TokenCounts, modality: str) -> int:
    return counts.video if modality == "video" else counts.audio


__all__ = ["CompressorWorker", "CompressorWorkerConfig"]
