"""The engine's core: sessions and questions in, one packed forward per step, outcomes out.

Synchronous: no method may be called while another runs. What is refused at once is raised, what
happens later comes as outcomes of `step`, `abort` and `close`. Knows nothing about asyncio.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from compressor.omni.chat import ChatLayout
from compressor.tokens import CompressedChunk
from service.clock import Clock
from service.errors import (
    AtCapacity,
    BadRequest,
    EngineUnavailable,
    ServiceError,
    SessionNotFound,
)
from service.llm.admission import Admission
from service.llm.answer import Answer
from service.llm.checks import check_chunk, check_question
from service.llm.config import EngineConfig
from service.llm.context import ContextRules, Horizon
from service.llm.engine import EngineStats, Question
from service.llm.forgotten import Forgotten
from service.llm.forward import PackedForward
from service.llm.jobs import Asked, LiveSession, Outcome
from service.llm.live import LiveContext, View
from service.llm.note import LONGEST_NOTE, gap_note, lost_s
from service.llm.polls import Polls
from service.llm.rotation import KeyRotation
from service.llm.sampling import TokenSampler, make_dice
from service.llm.turns import Turn, plan_turns
from service.llm.unit import Unit
from service.sessions.record import SessionId

MAX_WAITING_CHUNKS = 64  # or groups, per session; callers wait for each: more is one gone astray


class Scheduler:
    """Continuous batching over one model and one page pool."""

    def __init__(
        self,
        forward: PackedForward,
        chat: ChatLayout,
        config: EngineConfig,
        *,
        horizon: Horizon,
        ids_per_s: int,
        now: Clock,
    ) -> None:
        self._forward = forward
        self._chat = chat
        self._config = config
        self._rules = ContextRules(config.context_tokens, horizon, ids_per_s, config.policy)
        self._forgotten = Forgotten()
        self._now = now
        self._rotate = KeyRotation(forward.rotary)
        self._sampler = TokenSampler(chat.allowed_ids().to(forward.pool.keys.device))
        self._polls = Polls(chat.encode)
        self._admission = Admission(forward.pool, config)
        self._sessions: dict[SessionId, LiveSession] = {}
        self._questions: dict[str, Asked] = {}
        self._num_steps = 0
        self._num_decoded = self._num_chunk_tokens = self._num_question_tokens = 0

    @property
    def hidden_size(self) -> int:
        """Width of the model."""
        return self._forward.hidden_size

    @property
    def rules(self) -> ContextRules:
        """What bounds the context of each session."""
        return self._rules

    @property
    def has_work(self) -> bool:
        """Whether a step would get anything done."""
        sessions = self._sessions.values()
        return bool(self._questions) or any(s.feed is not None or s.chunks for s in sessions)

    def open(self, session_id: SessionId, instructions: str | None) -> None:
        """Start a session with its header.

        Raises:
            AtCapacity: Too few pages are left for its reserve.
            BadRequest: It is open already, or the instructions are too long.
        """
        if session_id in self._sessions:
            raise BadRequest(f"session {session_id!r} is open already", field="session_id")
        header_ids = self._chat.header(instructions)
        max_header = self._rules.horizon.max_header
        if len(header_ids) > max_header:
            raise BadRequest(
                f"instructions may take {max_header} tokens, not {len(header_ids)}",
                field="instructions",
            )
        context = LiveContext(
            self._forward.pool,
            self._rules,
            self._rotate,
            header_ids=header_ids,
            forgotten=self._forgotten,
        )
        session = LiveSession(session_id, context)
        self._admission.open(session, self._sessions.values())
        self._sessions[session_id] = session

    def append(self, session_id: SessionId, *chunks: CompressedChunk) -> int:
        """Queue a chunk, or several that enter together; one `ChunkOutcome` follows.

        Of several, each is written only as far as the last of them leaves it. There must be pages
        for all of them: a context does not shrink for more than one.

        Returns:
            The index of the last, which the outcome names.

        Raises:
            SessionNotFound: The session is not open.
            BadRequest: A chunk is malformed, too large, or not newer than all before it.
            AtCapacity: Too many chunks of the session wait.
        """
        session = self._session(session_id)
        index = session.last_index
        for chunk in chunks:
            index = check_chunk(chunk, after=index, hidden_size=self.hidden_size, rules=self._rules)
        if len(session.chunks) >= MAX_WAITING_CHUNKS:
            raise AtCapacity(stage="waiting_chunks", limit=MAX_WAITING_CHUNKS)
        session.chunks.append(chunks)
        session.last_index = index
        return index

    def ask(self, session_id: SessionId, question: Question) -> None:
        """Queue a question; `QuestionOutcome`s follow, the last with `Finished` or an error.

        It sees what is in context when it starts; a chunk only half written is left out.

        Raises:
            SessionNotFound: The session is not open.
            BadRequest: The question is malformed or too long, or its id is in use.
            AtCapacity: Too many questions run or wait.
        """
        session = self._session(session_id)
        if question.id in self._questions:
            raise BadRequest(f"question {question.id!r} is being answered", field="id")
        self._check_room(is_poll=bool(question.choices))
        is_part = question.window_s is not None or question.at_s is not None
        is_noted = self._config.notes_gaps and not is_part
        max_tokens = self._rules.horizon.max_text
        if is_noted:
            max_tokens -= len(self._chat.encode(LONGEST_NOTE))
        tail_ids = check_question(question, self._chat, max_tokens=max_tokens)
        self._questions[question.id] = Asked(
            session,
            question,
            tail_ids=tail_ids,
            answer=Answer(self._chat.detokenizer(), self._chat.stop_ids, question.sampling),
            dice=make_dice(question.sampling),
            now=self._now,
            note=self._note if is_noted else None,
        )

    def abort(self, question_id: str) -> list[Outcome]:
        """Stop a question and free its pages; unknown ids are ignored."""
        asked = self._questions.get(question_id)
        if asked is None:
            return []
        self._forget(asked)
        return [asked.cancelled()]

    def close(self, session_id: SessionId) -> list[Outcome]:
        """Free a session and abort its questions; unknown ids are ignored."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return []
        outcomes: list[Outcome] = []
        for asked in [a for a in self._questions.values() if a.session is session]:
            outcomes += self.abort(asked.question.id)
        closed = EngineUnavailable(f"session {session_id!r} was closed")
        outcomes += [session.refuse(closed) for _ in range(len(session.chunks))]
        session.context.release()
        return outcomes

    def step(self) -> list[Outcome]:
        """Start what finds pages, run one forward, and return what came of it."""
        outcomes: list[Outcome] = [*self._admission.start_chunks(self._sessions.values())]
        for refused in list(self._admission.start_questions(self._questions.values())):
            del self._questions[refused.question_id]
            outcomes.append(refused)
        turns = plan_turns(
            self._sessions.values(), self._questions.values(), self._config.step_tokens
        )
        if turns:
            outcomes += self._run(turns)
        return outcomes

    def units(self, session_id: SessionId) -> tuple[Unit, ...]:
        """Return what is in context of each chunk, oldest first; safe from any thread."""
        session = self._sessions.get(session_id)
        return () if session is None else session.context.window.units

    def held(self, session_id: SessionId) -> list[int]:
        """Return the indices of the chunks in context, oldest first; safe from any thread."""
        return [unit.index for unit in self.units(session_id)]

    def stats(self) -> EngineStats:
        """Return what is held now and was done so far."""
        waiting = sum(asked.feed is None for asked in self._questions.values())
        pool = self._forward.pool
        held = [session.context.window.held for session in self._sessions.values()]
        return EngineStats(
            running=len(self._questions) - waiting,
            waiting=waiting,
            pages_total=pool.num_pages,
            pages_free=pool.num_free,
            room_tokens=self._admission.room_tokens(self._sessions.values()),
            context_tokens={s.id: s.context.window.num_tokens for s in self._sessions.values()},
            video_tokens=sum(counts.video for counts in held),
            audio_tokens=sum(counts.audio for counts in held),
            context_s=sum(s.context.window.held_s for s in self._sessions.values()),
            forgotten_units=self._forgotten.units,
            forgotten_tokens=self._forgotten.tokens,
            steps=self._num_steps,
            decode_tokens=self._num_decoded,
            chunk_tokens=self._num_chunk_tokens,
            question_tokens=self._num_question_tokens,
        )

    def check_integrity(self) -> None:
        """Raise AssertionError if a page is lost or held wrongly."""
        sequences = [session.context.sequence for session in self._sessions.values()]
        sequences += [a.feed.sequence for a in self._questions.values() if a.feed is not None]
        self._forward.pool.check_integrity([sequence.pages for sequence in sequences])

    def _check_room(self, *, is_poll: bool) -> None:
        """Raise `AtCapacity` for one more; polls never take a place from a question."""
        limit = self._config.max_questions
        polls = sum(asked.is_poll for asked in self._questions.values())
        if (polls if is_poll else len(self._questions) - polls) >= limit:
            raise AtCapacity(stage="polls" if is_poll else "questions", limit=limit)

    def _session(self, session_id: SessionId) -> LiveSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionNotFound(session_id)
        return session

    def _note(self, view: View) -> list[int]:
        """Ids of what a question is told about the stream's missing part."""
        lost = lost_s(view.units, self._rules.policy.num_sinks)
        return [] if lost is None else self._chat.encode(gap_note(*lost, now_s=view.end_s))

    def _forget(self, asked: Asked, *, scrub: bool = False) -> None:
        del self._questions[asked.question.id]
        asked.release(scrub=scrub)

    def _run(self, turns: Sequence[Turn]) -> Iterator[Outcome]:
        """Run one forward and hand its results to those whom they belong to."""
        self._count(turns)
        results = self._forward.run([turn.segment() for turn in turns])
        drawing: list[tuple[Asked, Tensor]] = []
        for turn, result in zip(turns, results, strict=True):
            if result.error is not None:
                yield from self._fail(turn.owner, result.error)
                continue
            is_last = turn.is_last
            turn.owner.advance(turn.num_tokens)
            if isinstance(turn.owner, LiveSession):
                yield from turn.owner.complete() if is_last else ()
            elif result.logits is not None:
                drawing.append((turn.owner, result.logits))
        yield from self._draw(drawing)

    def _draw(self, drawing: Sequence[tuple[Asked, Tensor]]) -> Iterator[Outcome]:
        if not drawing:
            return
        for asked, row in [pair for pair in drawing if pair[0].is_poll]:
            yield asked.weigh(self._polls.weigh(row, asked.question.choices))
            self._forget(asked)
        drawing = [pair for pair in drawing if not pair[0].is_poll]
        if not drawing:
            return
        logits = torch.stack([row for _, row in drawing])
        tokens = self._sampler.draw(logits, [asked.dice for asked, _ in drawing])
        for (asked, _), token_id in zip(drawing, tokens, strict=True):
            yield from asked.receive(token_id)
            if asked.is_over:
                self._forget(asked)

    def _fail(self, owner: LiveSession | Asked, error: ServiceError) -> Iterator[Outcome]:
        if isinstance(owner, Asked):
            self._forget(owner, scrub=True)
            # the question's own tokens are sound: what it was asked about is not
            yield owner.failed(EngineUnavailable(error.message))
            return
        yield from owner.fail(error)
        if not owner.context.is_open:
            yield from self.close(owner.id)

    def _count(self, turns: Sequence[Turn]) -> None:
        self._num_steps += 1
        for turn in turns:
            if isinstance(turn.owner, LiveSession):
                self._num_chunk_tokens += turn.num_tokens
                turn.owner.last_served = self._num_steps
            elif turn.owner.is_decoding:
                self._num_decoded += turn.num_tokens
            else:
                self._num_question_tokens += turn.num_tokens
                turn.owner.session.last_served = self._num_steps
