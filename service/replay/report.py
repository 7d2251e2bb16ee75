"""What a replay gave, beside what the recording says. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.ingest.recording.journal import Asked
from service.ingest.recording.reader import Recording

COMPARED = ("kept", "tokens", "grid_sizes", "gaps", "skew_s", "is_cut")


@dataclass(frozen=True, slots=True)
class ReplayedChunk:
    """One chunk, replayed.

    Attributes:
        data: As a `chunk` event has it; None: it was in the recording and did not come again.
        recorded: The event of then; None: the recording does not tell.
        failure: What a stage raised, empty where it went well.
    """

    index: int
    data: Mapping[str, Any] | None
    recorded: Mapping[str, Any] | None
    failure: str = ""

    @property
    def differences(self) -> list[str]:
        """Fields that are not what they were."""
        if self.data is None or self.failure:
            return ["failed" if self.failure else "missing"]
        if self.recorded is None:
            return []
        # the recorded one went through JSON, where a tuple is a list
        now = json.loads(json.dumps(self.data))
        return [name for name in COMPARED if now.get(name) != self.recorded.get(name)]

    def as_json(self) -> dict[str, Any]:
        tokens = self.data["tokens"] if self.data else {}
        return {
            "index": self.index,
            "kept": {modality: counts["kept"] for modality, counts in tokens.items()},
            "kept_sha256": _digest(self.data["kept"]) if self.data else None,
            "is_compared": self.recorded is not None,
            "differences": self.differences,
            "failure": self.failure or None,
        }


@dataclass(frozen=True, slots=True)
class ReplayedAnswer:
    """A question asked again, and its answer now; None: its moment did not come."""

    asked: Asked
    answer: str | None

    @property
    def is_same(self) -> bool:
        return self.answer == self.asked.answer

    def as_json(self) -> dict[str, Any]:
        return {
            "question": self.asked.question,
            "context_end_s": self.asked.context_end_s,
            "recorded": self.asked.answer,
            "replayed": self.answer,
            "is_same": self.is_same,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """One replay."""

    recording: Recording
    model: str
    chunks: Sequence[ReplayedChunk]
    answers: Sequence[ReplayedAnswer]

    @property
    def is_same(self) -> bool:
        """All that the recording tells came out as it was."""
        same_chunks = not any(chunk.differences for chunk in self.chunks)
        return same_chunks and all(answer.is_same for answer in self.answers)

    def as_json(self) -> dict[str, Any]:
        header = self.recording.header
        return {
            "is_same": self.is_same,
            "session_id": header.session_id,
            "service": header.service,
            "model": {"recorded": header.model, "replayed": self.model},
            "profile": header.config.profile,
            "is_whole": header.is_whole,
            "end_reason": self.recording.end_reason,
            "chunks": [chunk.as_json() for chunk in self.chunks],
            "answers": [answer.as_json() for answer in self.answers],
        }

    def as_text(self) -> str:
        """For a person."""
        header = self.recording.header
        rows = [f"session {header.session_id}, recorded by {header.service} with {header.model}"]
        if header.model != self.model:
            rows.append(f"replayed with another model, {self.model}: answers will differ")
        if not header.is_whole:
            rows.append("the stream had begun before: kept tokens and answers may differ")
        compared = [chunk for chunk in self.chunks if chunk.recorded is not None]
        differing = [chunk for chunk in self.chunks if chunk.differences]
        rows.append(f"chunks   {len(self.chunks)}, compared {len(compared)}")
        rows += [
            f"  {chunk.index:>5}  {chunk.failure or ', '.join(chunk.differences)}"
            for chunk in differing
        ]
        rows += [
            f"answer   {answer.asked.question!r}: {answer.answer!r}"
            + ("" if answer.is_same else f", recorded {answer.asked.answer!r}")
            for answer in self.answers
        ]
        return "\n".join([*rows, "same" if self.is_same else "DIFFERENT"])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


__all__ = ["ReplayedAnswer", "ReplayedChunk", "Report"]
