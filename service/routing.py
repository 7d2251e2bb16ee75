"""Which replica serves which session. Pure: knows nothing about Ray, Redis or time."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that could take a session.

    Attributes:
        replica: Its id.
        sessions: Sessions it reports to hold.
        is_draining: It takes no new sessions.
    """

    replica: str
    sessions: int = 0
    is_draining: bool = False


class SessionBindings:
    """Binds each session to one replica and keeps it there until the replica is gone.

    A new session goes to the replica with the fewest sessions (ties: lowest id). Joining replicas
    move nobody. The least recently used binding is forgotten above `max_sessions`.
    """

    def __init__(self, max_sessions: int = 100_000) -> None:
        self._max_sessions = max_sessions
        self._replica_of: OrderedDict[str, str] = OrderedDict()
        self._num_bound: Counter[str] = Counter()

    def choose(
        self, session: str, candidates: Mapping[str, Candidate], *, owner: str | None = None
    ) -> str:
        """Pick the replica for a call.

        Args:
            session: The session's id.
            candidates: Replicas that run, by id; at least one.
            owner: The replica that holds the session's lease, where the caller knows: it wins over
                an older binding as long as it runs.
        """
        if owner is not None and owner in candidates:
            self._bind(session, owner)
            return owner
        bound = self._replica_of.get(session)
        if bound is None or bound not in candidates:
            bound = self._least_loaded(candidates.values())
        self._bind(session, bound)
        return bound

    def retain(self, replicas: Iterable[str]) -> None:
        """Forget the bindings to replicas that are not among `replicas`."""
        alive = set(replicas)
        for session in [s for s, replica in self._replica_of.items() if replica not in alive]:
            self._unbind(session)

    def _least_loaded(self, candidates: Iterable[Candidate]) -> str:
        ranked = sorted(
            candidates,
            key=lambda c: (c.is_draining, max(c.sessions, self._num_bound[c.replica]), c.replica),
        )
        return ranked[0].replica

    def _bind(self, session: str, replica: str) -> None:
        if self._replica_of.get(session) == replica:
            self._replica_of.move_to_end(session)
            return
        self._unbind(session)
        self._replica_of[session] = replica
        self._num_bound[replica] += 1
        while len(self._replica_of) > self._max_sessions:
            self._unbind(next(iter(self._replica_of)))

    def _unbind(self, session: str) -> None:
        replica = self._replica_of.pop(session, None)
        if replica is None:
            return
        self._num_bound[replica] -= 1
        if self._num_bound[replica] <= 0:
            del self._num_bound[replica]
