"""Who gets pages. Pages are reserved before work starts: work under way never runs out of them.

    short of pages                           what happens
    chunk, all contexts exceed their share   the session's own oldest units go
    chunk, questions of its session run      it waits for them: they share what it could give up
    chunk, none of them run                  the session's own oldest units go
    chunk, no unit left to go                AtCapacity
    question, others run                     it waits for them
    question, none runs                      AtCapacity

So a session is short only at its own cost, never at another's. Knows nothing about forwards.
"""

from collections.abc import Collection, Iterator

from compressor.tokens import CompressedChunk
from service.errors import AtCapacity
from service.llm.config import EngineConfig
from service.llm.jobs import Asked, ChunkOutcome, LiveSession, QuestionOutcome
from service.llm.live import LiveContext
from service.llm.pages import PagePool, PoolExhausted

PAGES = "kv_pages"
MIN_CONTEXT_RATIO = 0.125  # of a session's budget that must find room when it is opened


def is_short_of_pages(error: AtCapacity) -> bool:
    """Whether it is pages that are short, so that closing a session would help."""
    return bool(error.details["stage"] == PAGES)


class Admission:
    """Hands out the pages of one pool."""

    def __init__(self, pool: PagePool, config: EngineConfig) -> None:
        self._pool = pool
        self._min_tokens = int(config.context_tokens * MIN_CONTEXT_RATIO)
        self._max_context_pages = int(pool.num_pages * (1 - config.question_ratio))

    def open(self, session: LiveSession, others: Collection[LiveSession]) -> None:
        """Start a session's header.

        Raises:
            AtCapacity: Too few pages are left for a context worth having.
        """
        if self._excess_pages(others, self._min_tokens) > 0:
            raise self._out_of_pages()
        try:
            session.start(session.context.begin_header())
        except PoolExhausted as exc:
            raise self._out_of_pages() from exc

    def start_chunks(self, sessions: Collection[LiveSession]) -> Iterator[ChunkOutcome]:
        """Start the next chunk of every session that can take one."""
        for session in sessions:
            while session.feed is None and session.chunks and not session.is_waiting:
                yield from self._start_chunk(session, sessions)

    def start_questions(self, questions: Collection[Asked]) -> Iterator[QuestionOutcome]:
        """Start questions in the order they came, while there are pages."""
        for asked in questions:
            if asked.feed is not None or asked.session.is_waiting:
                continue
            if not asked.session.context.is_open:
                continue
            try:
                asked.start()
            except PoolExhausted:
                if any(other.feed is not None for other in questions):
                    return
                yield asked.failed(self._out_of_pages())

    def room_tokens(self, sessions: Collection[LiveSession]) -> int:
        """Tokens by which contexts can grow before the oldest units give way."""
        return max(-self._excess_pages(sessions, 0), 0) * self._pool.page_tokens

    def _start_chunk(
        self, session: LiveSession, sessions: Collection[LiveSession]
    ) -> list[ChunkOutcome]:
        """Get pages for the next chunk, or drop a unit for it, or decide that it waits or goes."""
        context = session.context
        try:
            context.make_room(session.chunks[0])
            self._keep_to_share(context, session.chunks[0], sessions)
            session.start(context.begin(session.chunks[0]))
        except PoolExhausted:
            if session.num_views > 0:
                session.is_waiting = True
                return []
            if not context.window.units:
                return [session.refuse(self._out_of_pages())]
            context.drop([context.window.units[0].index])
            return []
        # a chunk of which nothing was kept has nothing to write
        return session.complete() if session.num_left == 0 else []

    def _keep_to_share(
        self, context: LiveContext, chunk: CompressedChunk, sessions: Collection[LiveSession]
    ) -> None:
        while self._excess_pages(sessions, len(chunk.embeddings)) > 0:
            if not context.window.units:
                raise PoolExhausted("the other contexts fill what questions leave")
            context.drop([context.window.units[0].index])

    def _excess_pages(self, sessions: Collection[LiveSession], num_tokens: int) -> int:
        """Pages over the contexts' share, once one of them has `num_tokens` more."""
        held = sum(len(session.context.sequence.pages) for session in sessions)
        return held + self._pool.pages_for(num_tokens) - self._max_context_pages

    def _out_of_pages(self) -> AtCapacity:
        return AtCapacity(stage=PAGES, limit=self._pool.num_pages)
