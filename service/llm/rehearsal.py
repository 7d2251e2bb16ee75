"""Runs typical shapes through a scheduler once, since the first run of each is slow."""

import torch

from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.errors import ServiceError
from service.llm.engine import Message, Question, Sampling
from service.llm.jobs import ChunkOutcome
from service.llm.scheduler import Scheduler
from service.media.chunk import CHUNK_S
from service.sessions.record import SessionId

SESSION = SessionId("rehearsal")
NUM_CHUNKS = 2
NUM_TOKENS = 64  # a chunk of 224 by 224 pixels, a quarter of it kept
NUM_QUESTIONS = 2


def rehearse(scheduler: Scheduler) -> None:
    """Open a session, append, ask and close; leaves no trace but in the counts of tokens.

    Raises:
        ServiceError: The engine cannot do even that, for instance for want of pages.
    """
    scheduler.open(SESSION, None)
    try:
        for index in range(NUM_CHUNKS):
            scheduler.append(SESSION, _chunk(index, scheduler.hidden_size))
            _finish(scheduler)
        for number in range(NUM_QUESTIONS):
            message = Message("user", "What is going on?")
            question = Question(f"rehearsal {number}", (message,), Sampling(max_tokens=4))
            scheduler.ask(SESSION, question)
        _finish(scheduler)
    finally:
        scheduler.close(SESSION)


def _finish(scheduler: Scheduler) -> None:
    while scheduler.has_work:
        for outcome in scheduler.step():
            failure = outcome.error if isinstance(outcome, ChunkOutcome) else outcome.item
            if isinstance(failure, ServiceError):
                raise failure


def _chunk(index: int, hidden_size: int) -> CompressedChunk:
    positions = index * NUM_TOKENS + torch.arange(NUM_TOKENS)
    return CompressedChunk(
        embeddings=torch.zeros(NUM_TOKENS, hidden_size),
        positions=positions.expand(3, -1),
        modality=torch.full((NUM_TOKENS,), Modality.AUDIO, dtype=torch.uint8),
        scores=torch.zeros(NUM_TOKENS),
        kept=torch.arange(NUM_TOKENS),
        start_s=index * CHUNK_S,
        next_position=(index + 1) * NUM_TOKENS,
        counts_in=TokenCounts(0, NUM_TOKENS),
        counts_kept=TokenCounts(0, NUM_TOKENS),
    )
