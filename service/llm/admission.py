"""Who gets pages. Pages are reserved before work starts: work under way never runs out of them.

    short of pages                           what happens
    session, no reserve left for it          AtCapacity
    chunk, all contexts exceed their share   the session's own context shrinks, by its policy
    chunk, questions of its session run      it waits for them: they share what it could give up
    chunk, none of them run                  the session's own context shrinks
    chunk, nothing left to give up           AtCapacity
    several chunks that enter together       AtCapacity; one by one they may
    question, others run                     it waits for them, and smaller ones may start before it
    question, none runs                      AtCapacity

So a session is short only at its own cost, never at another's; and each has a reserve that no other
can take. What a context loses here, one that is rebuilt from the log may have again. Knows nothing
about forwards.
"""

from collections.abc import Collection, Iterable, Iterator

from service.errors import AtCapacity, MomentNotHeld
from service.llm.config import EngineConfig
from service.llm.jobs import Asked, ChunkOutcome, LiveSession, QuestionOutcome
from service.llm.live import LiveContext
from service.llm.pages import PagePool, PoolExhausted

PAGES = "kv_pages"
MAX_OVERTAKEN = 8  # times; a question that has waited through so many others is next


def is_short_of_pages(error: AtCapacity) -> bool:
    """Whether it is pages that are short, so that closing a session would help."""
    return bool(error.details["stage"] == PAGES)


class Admission:
    """Hands out the pages of one pool."""

    def __init__(self, pool: PagePool, config: EngineConfig) -> None:
        self._pool = pool
        self._reserve_tokens = int(config.context_tokens * config.reserve_ratio)
        max_pages = int(pool.num_pages * (1 - config.question_ratio))
        if config.total_tokens is not None:
            max_pages = min(max_pages, config.total_tokens // pool.page_tokens)
        self._max_context_pages = max_pages

    def open(self, session: LiveSession, others: Collection[LiveSession]) -> None:
        """Start a session's header.

        Raises:
            AtCapacity: Too few pages are left for its reserve.
        """
        if self._claimed_pages([*others, session]) > self._max_context_pages:
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
        """Start questions in the order they came, while there are pages.

        One that finds none lets smaller ones pass, `MAX_OVERTAKEN` of them at most.
        """
        waiting: list[Asked] = []
        for asked in questions:
            if not _may_start(asked, waiting):
                continue
            try:
                asked.start()
            except MomentNotHeld as error:
                yield asked.failed(error)
            except PoolExhausted:
                if not any(other.feed is not None for other in questions):
                    yield asked.failed(self._out_of_pages())
                    continue
                if asked.num_overtaken >= MAX_OVERTAKEN:
                    return
                waiting.append(asked)
            else:
                for other in waiting:
                    other.num_overtaken += 1

    def room_tokens(self, sessions: Collection[LiveSession]) -> int:
        """Tokens by which contexts can grow, reserves apart, before one of them shrinks."""
        free_pages = self._max_context_pages - self._claimed_pages(sessions)
        return max(free_pages, 0) * self._pool.page_tokens

    def _start_chunk(
        self, session: LiveSession, sessions: Collection[LiveSession]
    ) -> list[ChunkOutcome]:
        """Get pages for the next chunks, or shrink for it, or decide that it waits or goes."""
        context, chunks = session.context, session.chunks[0]
        try:
            num_tokens = sum(unit.num_tokens for unit in context.make_room(*chunks))
            if len(chunks) == 1:
                self._keep_to_share(session, sessions, num_tokens)
            elif self._excess_pages(session, sessions, num_tokens) > 0:
                return [session.refuse(self._out_of_pages())]
            session.start(context.begin(*chunks))
        except PoolExhausted:
            if len(chunks) > 1:
                return [session.refuse(self._out_of_pages())]
            if session.num_views > 0:
                session.is_waiting = True
                return []
            if not context.window.units:
                return [session.refuse(self._out_of_pages())]
            context.shrink(self._pool.page_tokens)
            return []
        # a chunk of which nothing was kept has nothing to write
        return session.complete() if session.num_left == 0 else []

    def _keep_to_share(
        self, session: LiveSession, sessions: Collection[LiveSession], num_tokens: int
    ) -> None:
        """Shrink a context until so many tokens more leave the others what is theirs."""
        context = session.context
        while (excess := self._excess_pages(session, sessions, num_tokens)) > 0:
            if not context.window.units:
                raise PoolExhausted("the other contexts fill what questions leave")
            context.shrink(excess * self._pool.page_tokens)

    def _excess_pages(
        self, session: LiveSession, sessions: Collection[LiveSession], num_tokens: int
    ) -> int:
        """Pages over a session's share, once it has so many tokens more."""
        others = self._claimed_pages(other for other in sessions if other is not session)
        limit = self._max_context_pages - others - self._pool.pages_for(num_tokens)
        return len(session.context.sequence.pages) - limit

    def _claimed_pages(self, sessions: Iterable[LiveSession]) -> int:
        """Pages that sessions hold or have in reserve."""
        return sum(self._claim(session.context) for session in sessions)

    def _claim(self, context: LiveContext) -> int:
        reserve = self._pool.pages_for(context.header_tokens + self._reserve_tokens)
        return max(len(context.sequence.pages), reserve)

    def _out_of_pages(self) -> AtCapacity:
        return AtCapacity(stage=PAGES, limit=self._pool.num_pages)


def _may_start(asked: Asked, waiting: Collection[Asked]) -> bool:
    """Whether it waits for nothing but pages, and could find them where those before it did not."""
    session = asked.session
    if asked.feed is not None or session.is_waiting or not session.context.is_open:
        return False
    return all(asked.max_tokens < other.max_tokens for other in waiting)
