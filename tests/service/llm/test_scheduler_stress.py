"""Random operations in a pool that is too small: everything ends, and every page comes back."""

import numpy as np
import pytest

from service.errors import AtCapacity, EngineUnavailable
from service.llm.config import EngineConfig
from service.llm.engine import Finished, Sampling
from service.llm.forgotten import Loss
from service.llm.policy import Fifo, Policy, Progressive
from service.sessions.record import SessionId
from tests.service.llm.desk import Desk, ask
from tests.service.llm.thinker import build_chunk, build_scheduler

PROGRESSIVE = Progressive(0.3, (1.0, 0.5, 0.2))


class Stress:
    """Random operations on a few sessions, which come and go, in a pool that is too small."""

    def __init__(self, seed: int, policy: Policy) -> None:
        config = EngineConfig(
            num_pages=60, page_tokens=8, step_tokens=48, context_tokens=150, policy=policy
        )
        self.desk = Desk(build_scheduler(config, max_positions=1600))
        self.random = np.random.default_rng(seed)
        self.sessions: dict[SessionId, int] = {}  # and the index of their newest chunk
        self.asked: list[str] = []

    def operate(self, number: int) -> None:
        operation = self.random.choice(["open", "append", "append", "ask", "abort", "close"])
        if operation == "open" or not self.sessions:
            self.open(SessionId(f"session {number}"))
            return
        session_id = SessionId(str(self.random.choice(list(self.sessions))))
        match operation:
            case "append":
                self.append(session_id)
            case "ask":
                self.ask(session_id, f"question {number}", seed=number)
            case "abort" if self.asked:
                self.desk.take(self.desk.scheduler.abort(str(self.random.choice(self.asked))))
            case "close" if self.random.random() < 0.2:
                self.close(session_id)

    def open(self, session_id: SessionId) -> None:
        try:
            self.desk.scheduler.open(session_id, None)
        except AtCapacity:
            return
        self.sessions[session_id] = -1

    def append(self, session_id: SessionId) -> None:
        index = self.sessions[session_id] + int(self.random.integers(1, 3))
        self.desk.scheduler.append(session_id, build_chunk(index, keep=self.random.random() * 0.6))
        self.sessions[session_id] = index

    def ask(self, session_id: SessionId, name: str, seed: int) -> None:
        window_s = None if self.random.random() < 0.5 else float(self.random.integers(1, 9))
        sampling = Sampling(int(self.random.integers(1, 40)), temperature=1.0, seed=seed)
        text = "x" * int(self.random.integers(1, 60))
        self.desk.scheduler.ask(session_id, ask(text, name, sampling, window_s))
        self.asked.append(name)

    def close(self, session_id: SessionId) -> None:
        self.desk.take(self.desk.scheduler.close(session_id))
        del self.sessions[session_id]


@pytest.mark.parametrize(
    ("seed", "policy"),
    [*enumerate([PROGRESSIVE] * 3), (3, Fifo()), (4, Fifo(2))],
    ids=str,
)
def test_every_page_comes_back_after_random_operations(seed: int, policy: Policy) -> None:
    stress = Stress(seed, policy)
    desk = stress.desk

    for number in range(250):
        stress.operate(number)
        for _ in range(int(stress.random.integers(0, 4))):
            desk.step()
    desk.run()

    assert {*stress.asked} == {*desk.ends}
    assert {type(error) for error in desk.chunk_errors.values()} <= {AtCapacity, EngineUnavailable}
    reasons = {end.reason for end in desk.ends.values() if isinstance(end, Finished)}
    assert {"length", "cancelled"} <= reasons
    lost = desk.scheduler.stats().forgotten_units
    assert lost[Loss("dropped", "budget")] > 0
    assert (lost.get(Loss("demoted", "budget"), 0) > 0) == (policy != Fifo())
    for session_id in list(stress.sessions):
        stress.close(session_id)
    assert desk.scheduler.stats().pages_used == 0
    desk.scheduler.check_integrity()
