"""Ray Serve's view of `service.routing`: calls that name a session go to that session's replica."""

from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from service.routing import Candidate, SessionBindings


class SessionRouter(RequestRouter):
    """Routes `handle.options(session_id=...)` calls to one replica, never spilling to another.

    The keyword argument `steal_from` of a call, the lease's owner as the caller read it, overrides
    this process's own binding while that replica runs. Calls without a session go to any replica.
    """

    def initialize_state(self, **_: Any) -> None:
        self._bindings = SessionBindings()

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        super().update_replicas(replicas)
        self._bindings.retain(replica_id.unique_id for replica_id in self.curr_replicas)

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        super().on_replica_actor_died(replica_id)
        alive = {other.unique_id for other in self.curr_replicas} - {replica_id.unique_id}
        self._bindings.retain(alive)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        if not candidate_replicas or pending_request is None:
            return [candidate_replicas]
        # without it, a session whose replica is full spins instead of waiting
        pending_request.routing_context.should_backoff = True
        session = pending_request.metadata.session_id
        if not session:
            return [candidate_replicas]
        by_id = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        chosen = self._bindings.choose(
            session,
            {unique_id: _candidate(unique_id, replica) for unique_id, replica in by_id.items()},
            owner=pending_request.kwargs.get("steal_from"),
        )
        return [[by_id[chosen]]]

    async def _choose_replica_for_request(
        self, pending_request: PendingRequest, *, is_retry: bool = False
    ) -> RunningReplica:
        # the base class files pending requests under the id of the request that caused them, so
        # that concurrent calls from inside one request overwrite each other and wait forever
        attempt = 0
        while True:
            while not self._replicas_list:
                self._replicas_updated_event.clear()
                await self._replicas_updated_event.wait()
            for rank in await self.choose_replicas(self._replicas_list, pending_request):
                replica = await self._select_from_candidate_replicas(rank, attempt)
                if replica is not None:
                    return replica
            await self._backoff(attempt)
            attempt += 1


def _candidate(unique_id: str, replica: RunningReplica) -> Candidate:
    stats = replica.routing_stats or {}
    return Candidate(unique_id, int(stats.get("sessions", 0)), bool(stats.get("draining", 0)))
