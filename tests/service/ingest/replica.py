"""A replica whose stages are fakes, what it told the store, and a clock to give it."""

from dataclasses import dataclass

from service.events import Event
from service.ingest.config import Surroundings
from service.sessions.record import SessionId, SessionStatus
from tests.fakes import FakeCompressor, FakeEncoder, FakeLLM

SESSION, OTHER, THIRD = SessionId("s"), SessionId("other"), SessionId("third")


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Replica:
    """The fakes behind `around`, and what the store was told."""

    around: Surroundings
    encoder: FakeEncoder
    compressor: FakeCompressor
    llm: FakeLLM

    async def events(self, session_id: SessionId = SESSION) -> list[Event]:
        found = await self.around.store.events(session_id, after=None, block_s=0)
        return [event for _, event in found]

    async def told(self, session_id: SessionId = SESSION) -> list[str]:
        """Types of the status events."""
        types = [event.type for event in await self.events(session_id)]
        return [kind.removeprefix("session.") for kind in types if kind.startswith("session.")]

    async def is_at(self, status: SessionStatus, session_id: SessionId = SESSION) -> bool:
        return (await self.around.store.get(session_id)).status is status

    def frames(self, modality: str, result: str) -> float:
        name = "omnisift_ingest_frames_total"
        labels = {"modality": modality, "result": result}
        return self.around.metrics.registry.get_sample_value(name, labels) or 0.0
