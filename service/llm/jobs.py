"""What the scheduler works on: sessions that take in chunks, and questions about them.

Knows nothing about who goes first, nor about models.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from compressor.omni.positions import NUM_MARKERS
from compressor.tokens import CompressedChunk
from service.clock import Clock
from service.errors import ServiceError
from service.llm.answer import Answer
from service.llm.context import spans
from service.llm.engine import Finished, Question, TokenDelta
from service.llm.live import LiveContext, Part, View
from service.llm.prompt import Inputs, next_token, tail_inputs
from service.llm.sampling import Dice
from service.llm.sequence import PagedSequence
from service.sessions.record import SessionId

Note = Callable[[View], list[int]]  # ids to put before the question


@dataclass(frozen=True, slots=True)
class ChunkOutcome:
    """A chunk is in context, with those that came together with it, or none of them ever will be.

    Attributes:
        index: Of the last of them.
        error: Why not; None for success.
    """

    session_id: SessionId
    index: int
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """The next item of an answer; after `Finished` or an error there is none."""

    question_id: str
    item: TokenDelta | Finished | ServiceError


Outcome = ChunkOutcome | QuestionOutcome


class Feed:
    """Inputs on their way into a sequence that has room for them, over one forward or several."""

    def __init__(self, sequence: PagedSequence, inputs: Inputs) -> None:
        self.sequence = sequence
        self._inputs = inputs
        self._num_done = 0

    @property
    def num_left(self) -> int:
        return len(self._inputs) - self._num_done

    def head(self, num_tokens: int) -> Inputs:
        """Return the next inputs."""
        return self._inputs.part(self._num_done, self._num_done + num_tokens)

    def advance(self, num_tokens: int) -> None:
        """Count inputs as written."""
        self._num_done += num_tokens


class LiveSession:
    """A session's context and the chunks that wait to enter it.

    Attributes:
        chunks: In the order of their arrival, in groups that enter together; the first group may
            be on its way into the context.
        feed: Header or chunk on its way; None between chunks.
        last_index: Index of the newest chunk that came, applied or not; -1 before the first.
        last_served: Number of the step that last worked for this session.
        num_views: Questions that hold a view, so that pages given up may not come back at once.
        is_waiting: The next chunk finds no page until a view is released.
    """

    def __init__(self, session_id: SessionId, context: LiveContext) -> None:
        self.id = session_id
        self.context = context
        self.chunks: deque[tuple[CompressedChunk, ...]] = deque()
        self.feed: Feed | None = None
        self.last_index = -1
        self.last_served = 0
        self.num_views = 0
        self.is_waiting = False
        self._part: Part | None = None

    @property
    def num_left(self) -> int:
        """Tokens of the part under way that are still to be written."""
        return 0 if self.feed is None else self.feed.num_left

    def start(self, part: Part) -> None:
        """Begin to write a part that has its pages."""
        self._part = part
        self.feed = Feed(self.context.sequence, part.inputs)

    def advance(self, num_tokens: int) -> None:
        """Count inputs as written."""
        assert self.feed is not None
        self.feed.advance(num_tokens)

    def complete(self) -> list[ChunkOutcome]:
        """Count the part as held, now that all of it is written."""
        assert self._part is not None
        self.context.commit(self._part)
        return self._leave(error=None)

    def fail(self, error: ServiceError) -> list[ChunkOutcome]:
        """Take back what was written of the part."""
        self.context.rollback(scrub=True)
        return self._leave(error)

    def refuse(self, error: ServiceError) -> ChunkOutcome:
        """Turn away the next group of chunks, none being under way."""
        return self._outcome(error)

    def _leave(self, error: ServiceError | None) -> list[ChunkOutcome]:
        part, self._part, self.feed = self._part, None, None
        if part is None or not part.chunks:
            return []  # nobody waits for a header
        return [self._outcome(error)]

    def _outcome(self, error: ServiceError | None) -> ChunkOutcome:
        chunks = self.chunks.popleft()
        if error is not None and not self.chunks:
            self.last_index = self.context.unit(chunks[0]).index - 1  # they may come again
        return ChunkOutcome(self.id, self.context.unit(chunks[-1]).index, error)


class Asked:
    """One question, from its arrival to its last token.

    Attributes:
        feed: Tail or last token on its way; None while the question waits for pages.
        dice: How it draws.
        num_overtaken: Later questions that started while it found no pages.
    """

    def __init__(
        self,
        session: LiveSession,
        question: Question,
        *,
        tail_ids: list[int],
        answer: Answer,
        dice: Dice | None,
        now: Clock,
        note: Note | None = None,
    ) -> None:
        self.session = session
        self.question = question
        self.feed: Feed | None = None
        self.dice = dice
        self.num_overtaken = 0
        self._tail_ids = tail_ids
        self._note = note
        self._answer = answer
        self._now = now
        self._asked_s = now()
        self._first_token_s: float | None = None
        self._view: View | None = None
        self._prompt_tokens = self._num_tail = 0
        self._choices: tuple[float, ...] = ()
        self._next_position = 0

    @property
    def max_tokens(self) -> int:
        """Tokens that it can add to what it sees, the question's own included."""
        return len(self._tail_ids) + self.question.sampling.max_tokens

    @property
    def num_left(self) -> int:
        """Tokens still to be fed before the next one can be drawn."""
        return 0 if self.feed is None else self.feed.num_left

    @property
    def is_decoding(self) -> bool:
        """Whether it has its first token."""
        return self._first_token_s is not None

    @property
    def is_poll(self) -> bool:
        """Whether it wants probabilities instead of text."""
        return bool(self.question.choices)

    @property
    def is_over(self) -> bool:
        """Whether the last token has come."""
        return self._answer.reason is not None or bool(self._choices)

    def start(self) -> None:
        """Fork the context and reserve all pages that the question can ever need.

        Raises:
            MomentNotHeld: What it is about is not in context.
            PoolExhausted: Nothing has changed.
        """
        view = self.session.context.view(self.question.window_s, self.question.at_s)
        note = [] if self._note is None else self._note(view)
        tail_ids = [*self._tail_ids[:NUM_MARKERS], *note, *self._tail_ids[NUM_MARKERS:]]
        try:
            # one token less: the last one generated is not fed back
            view.sequence.reserve(len(tail_ids) + self.question.sampling.max_tokens - 1)
        except BaseException:
            view.sequence.release()
            raise
        tail = tail_inputs(tail_ids, view.ids)
        self._view = view
        self._prompt_tokens, self._num_tail = view.sequence.length + len(tail), len(tail)
        self._next_position = int(tail.positions.max()) + 1
        self.feed = Feed(view.sequence, tail)
        self.session.num_views += 1

    def advance(self, num_tokens: int) -> None:
        """Count inputs as written."""
        assert self.feed is not None
        self.feed.advance(num_tokens)

    def receive(self, token_id: int) -> list[QuestionOutcome]:
        """Take a drawn token; the answer may end with it."""
        assert self._view is not None
        if self._first_token_s is None:
            self._first_token_s = self._now()
        delta = self._answer.push(token_id)
        items: list[TokenDelta | Finished] = [] if delta is None else [delta]
        if self._answer.reason is None:
            self.feed = Feed(self._view.sequence, next_token(token_id, self._next_position))
            self._next_position += 1
        else:
            items.append(self._finished(self._answer.reason))
        return [QuestionOutcome(self.question.id, item) for item in items]

    def weigh(self, choices: tuple[float, ...]) -> QuestionOutcome:
        """Take the probabilities that a poll is about: its end."""
        self._first_token_s = self._now()
        self._choices = choices
        return QuestionOutcome(self.question.id, self._finished("stop"))

    def cancelled(self) -> QuestionOutcome:
        """Return the end of an answer that nobody wants any more."""
        return QuestionOutcome(self.question.id, self._finished("cancelled"))

    def failed(self, error: ServiceError) -> QuestionOutcome:
        """Return the end of an answer that cannot be given."""
        return QuestionOutcome(self.question.id, error)

    def release(self, *, scrub: bool = False) -> None:
        """Give back its pages, if it has any."""
        if self.feed is None:
            return
        self.feed.sequence.release(scrub=scrub)
        self.feed = None
        self.session.num_views -= 1
        self.session.is_waiting = False

    def _finished(self, reason: str) -> Finished:
        ended_s = self._now()
        first_s, view = self._first_token_s, self._view
        return Finished(
            text=self._answer.text,
            reason=reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._answer.num_tokens,
            context_start_s=view.start_s if view else 0.0,
            context_end_s=view.end_s if view else 0.0,
            ttft_s=None if first_s is None else first_s - self._asked_s,
            duration_s=ended_s - self._asked_s,
            spans=spans(view.units) if view else (),
            choices=self._choices,
            tail_tokens=self._num_tail,
        )
