"""Sessions and questions as the scheduler holds them, moved on without a model."""

from service.clock import Clock
from service.llm.answer import Answer
from service.llm.context import ContextRules
from service.llm.engine import Message, Question, Sampling
from service.llm.forward import PackedForward
from service.llm.jobs import Asked, LiveSession
from service.llm.live import LiveContext
from service.llm.rotation import KeyRotation
from service.sessions.record import SessionId
from tests.service.llm.thinker import build_chat
from tests.service.llm.units import build_rules

CHAT = build_chat()
QUESTION = Question("q", (Message("user", "what?"),), Sampling(max_tokens=3))
TAIL = CHAT.tail([("user", "what?")])


def new_session(
    forward: PackedForward, name: str = "s", rules: ContextRules | None = None
) -> LiveSession:
    """A session that holds nothing yet."""
    context = LiveContext(
        forward.pool,
        rules or build_rules(400),
        KeyRotation(forward.rotary),
        header_ids=CHAT.header(),
    )
    return LiveSession(SessionId(name), context)


def open_session(
    forward: PackedForward, name: str = "s", rules: ContextRules | None = None
) -> LiveSession:
    """A session whose header is written."""
    session = new_session(forward, name, rules)
    session.start(session.context.begin_header())
    write(session)
    assert session.complete() == []
    return session


def write(owner: LiveSession | Asked) -> None:
    """What a forward does to lengths."""
    assert owner.feed is not None
    owner.feed.sequence.advance(owner.num_left)
    owner.advance(owner.num_left)


def ask(
    session: LiveSession,
    question: Question = QUESTION,
    *,
    start: bool = True,
    now: Clock = lambda: 0.0,
) -> Asked:
    asked = Asked(
        session,
        question,
        tail_ids=TAIL,
        answer=Answer(CHAT.detokenizer(), CHAT.stop_ids, question.sampling),
        dice=None,
        now=now,
    )
    if start:
        asked.start()
    return asked


def receive_first(asked: Asked) -> None:
    write(asked)
    asked.receive(ord("a"))
