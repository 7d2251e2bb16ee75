"""What a forward works on: who gets how many of its tokens. Knows nothing about pages."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol, TypeVar

from service.llm.forward import Segment
from service.llm.jobs import Asked, LiveSession


class Job(Protocol):
    """Work that can be done in part."""

    @property
    def num_left(self) -> int: ...


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one session or question does in one forward."""

    owner: LiveSession | Asked
    num_tokens: int

    @property
    def is_last(self) -> bool:
        """Whether nothing of the owner's inputs is left after it."""
        return self.num_tokens == self.owner.num_left

    def segment(self) -> Segment:
        """Return the inputs; only a question needs logits, and only after its last input."""
        feed = self.owner.feed
        assert feed is not None
        needs_logits = isinstance(self.owner, Asked) and self.is_last
        return Segment(feed.sequence, feed.head(self.num_tokens), needs_logits)


def plan_turns(
    sessions: Iterable[LiveSession], questions: Iterable[Asked], max_tokens: int
) -> list[Turn]:
    """Plan a forward: every decode, then tails and chunks in turns between sessions, then polls.

    Sessions that were served longest ago come first; within a session its questions do. Polls get
    what is left.

    Args:
        sessions: All there are.
        questions: All there are, fewer than `max_tokens`.
        max_tokens: Of the forward.
    """
    running = [asked for asked in questions if asked.feed is not None]
    queues: dict[str, list[LiveSession | Asked]] = defaultdict(list)
    for asked in running:
        if not asked.is_decoding and not asked.is_poll:
            queues[asked.session.id].append(asked)
    order = sorted(sessions, key=lambda session: session.last_served)
    for session in order:
        if session.feed is not None:
            queues[session.id].append(session)
    decodes = [Turn(asked, 1) for asked in running if asked.is_decoding]
    in_order = [queues[session.id] for session in order if session.id in queues]
    shares = take_turns(in_order, max_tokens - len(decodes))
    num_left = max_tokens - len(decodes) - sum(num_tokens for _, num_tokens in shares)
    shares += take_turns([[asked] for asked in running if asked.is_poll], num_left)
    return decodes + [Turn(owner, num_tokens) for owner, num_tokens in shares]


def take_turns(queues: Iterable[Sequence[J]], max_tokens: int) -> list[tuple[J, int]]:
    """Share tokens: one job of each queue in turn, then the second of each, and so on.

    Jobs are done whole while the tokens last, since halves of many would delay them all.

    Args:
        queues: Jobs by session, in the order of their turns.
        max_tokens: To share.

    Returns:
        Jobs and how many of their tokens to work on, 1 or more.
    """
    shares = []
    for job in _interleaved(queues):
        if max_tokens <= 0:
            break
        num_tokens = min(job.num_left, max_tokens)
        shares.append((job, num_tokens))
        max_tokens -= num_tokens
    return shares


def _interleaved(queues: Iterable[Sequence[J]]) -> Iterator[J]:
    for turn in zip_longest(*queues):
        yield from (job for job in turn if job is not None)
