"""A scheduler with all that came out of it, and streams and questions to put to it."""

from collections import defaultdict

from compressor.tokens import CompressedChunk
from service.errors import ServiceError
from service.llm.engine import Finished, Message, Question, Sampling, TokenDelta
from service.llm.jobs import ChunkOutcome, Outcome
from service.llm.scheduler import Scheduler
from service.sessions.record import SessionId
from tests.service.llm.thinker import build_chunk, build_scheduler

A, B = SessionId("a"), SessionId("b")
NUM_TOKENS = 12


class Desk:
    """A scheduler and all that came out of it."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        self.scheduler = scheduler or build_scheduler()
        self.chunks: list[tuple[SessionId, int]] = []
        self.chunk_errors: dict[tuple[SessionId, int], ServiceError] = {}
        self.tokens: dict[str, list[int]] = defaultdict(list)
        self.ends: dict[str, Finished | ServiceError] = {}

    def take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, ChunkOutcome):
                key = outcome.session_id, outcome.index
                assert key not in self.chunks
                self.chunks.append(key)
                if outcome.error is not None:
                    self.chunk_errors[key] = outcome.error
                continue
            assert outcome.question_id not in self.ends, "an item after the last"
            if isinstance(outcome.item, TokenDelta):
                self.tokens[outcome.question_id].append(outcome.item.token_id)
            else:
                self.ends[outcome.question_id] = outcome.item

    def step(self) -> None:
        self.take(self.scheduler.step())
        self.scheduler.check_integrity()

    def run(self) -> None:
        """Work until nothing is left to do."""
        for _ in range(1000):
            if not self.scheduler.has_work:
                return
            self.step()
        raise AssertionError("the scheduler never comes to rest")

    def open(self, session_id: SessionId, *chunks: CompressedChunk) -> None:
        self.scheduler.open(session_id, None)
        for chunk in chunks:
            self.scheduler.append(session_id, chunk)

    def ask(self, session_id: SessionId, text: str, name: str | None = None, **how: object) -> None:
        sampling = Sampling(**{"max_tokens": NUM_TOKENS, **how})  # type: ignore[arg-type]  # a test's literals
        self.scheduler.ask(session_id, ask(text, name or text, sampling))

    def finished(self, name: str) -> Finished:
        end = self.ends[name]
        assert isinstance(end, Finished)
        return end


def ask(text: str, name: str, sampling: Sampling, window_s: float | None = None) -> Question:
    return Question(name, (Message("user", text),), sampling, window_s)


def stream(seed: int, num_chunks: int = 3) -> list[CompressedChunk]:
    return [build_chunk(index, seed=seed) for index in range(num_chunks)]
