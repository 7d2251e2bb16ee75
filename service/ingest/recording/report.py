"""What a replay gave, beside what the recording says. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.ingest.recording.journal import Asked, EndReason, Header
from service.ingest.recording.reader import Recording

COMPARED = ("kept", "tokens", "grid_sizes", "gaps", "skew_s", "is_cut")


@dataclass(frozen=True, slots=True)
class ReplayBegun:
    """What is replayed.

    Attributes:
        num_chunks: Chunks that the recording tells of.
        num_answers: Questions that were answered meanwhile.
    """

    header: Header
    end_reason: EndReason
    num_chunks: int
    num_answers: int

    @classmethod
    def of(cls, recording: Recording) -> "ReplayBegun":
        num_chunks = sum(line.event == "chunk" for line in recording.told)
        num_answers = sum(asked.is_answered for asked in recording.asked)
        return cls(recording.header, recording.end_reason, num_chunks, num_answers)

    def as_json(self) -> dict[str, Any]:
        header = self.header
        return {
            "session_id": header.session_id,
            "service": header.service,
            "model": header.model,
            "profile": header.config.profile,
            "is_whole": header.is_whole,
            "end_reason": self.end_reason,
            "num_chunks": self.num_chunks,
            "num_answers": self.num_answers,
        }


@dataclass(frozen=True, slots=True)
class ReplayedChunk:
    """One chunk, replayed.

    Attributes:
        kept: Tokens kept, by modality; empty where there is no such chunk now.
        kept_sha256: Digest of which ones.
        is_compared: The recording tells what came of it then.
        differences: Fields of its event that are not what they were; "missing": it was in the
            recording and did not come again; "failed": a stage gave it up.
        failure: Why it was given up.
    """

    index: int
    kept: Mapping[str, int]
    kept_sha256: str | None
    is_compared: bool
    differences: tuple[str, ...] = ()
    failure: str | None = None

    @classmethod
    def of(
        cls,
        index: int,
        data: Mapping[str, Any] | None,
        recorded: Mapping[str, Any] | None,
        failure: str | None = None,
    ) -> "ReplayedChunk":
        """Compare.

        Args:
            index: Of the chunk.
            data: As its `chunk` event has it; None: there was none.
            recorded: The event of then; None: the recording does not tell.
            failure: Why a stage gave the chunk up.
        """
        is_compared = recorded is not None
        if data is None:
            return cls(index, {}, None, is_compared, ("failed" if failure else "missing",), failure)
        kept = {modality: int(counts["kept"]) for modality, counts in data["tokens"].items()}
        found = _differences(data, recorded) if recorded is not None else ()
        return cls(index, kept, digest(data["kept"]), is_compared, found)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"differences": list(self.differences)}


@dataclass(frozen=True, slots=True)
class ReplayedAnswer:
    """A question asked again.

    Attributes:
        answer: Now; None: there is none, for the `reason`.
        is_compared: False: it could not have come out the same but by chance.
    """

    asked: Asked
    answer: str | None
    reason: str | None = None
    is_compared: bool = True

    @property
    def is_same(self) -> bool | None:
        """None where it is not compared."""
        return self.answer == self.asked.answer if self.is_compared else None

    def as_json(self) -> dict[str, Any]:
        return {
            "question": self.asked.question,
            "context_end_s": self.asked.context_end_s,
            "recorded": self.asked.answer,
            "replayed": self.answer,
            "is_same": self.is_same,
            "reason": self.reason,
        }


ReplayItem = ReplayBegun | ReplayedChunk | ReplayedAnswer


@dataclass(frozen=True, slots=True)
class Report:
    """One replay."""

    begun: ReplayBegun
    model: str
    chunks: Sequence[ReplayedChunk]
    answers: Sequence[ReplayedAnswer]

    @property
    def is_same(self) -> bool:
        """All that the recording tells, and that can be compared, came out as it was."""
        same_chunks = not any(chunk.differences for chunk in self.chunks)
        return same_chunks and all(answer.is_same is not False for answer in self.answers)

    def summary(self) -> dict[str, Any]:
        """In numbers."""
        return {
            "is_same": self.is_same,
            "model": self.model,
            "chunks": {
                "replayed": sum(chunk.kept_sha256 is not None for chunk in self.chunks),
                "compared": sum(chunk.is_compared for chunk in self.chunks),
                "different": sum(bool(chunk.differences) for chunk in self.chunks),
            },
            "answers": {
                "compared": sum(answer.is_compared for answer in self.answers),
                "different": sum(answer.is_same is False for answer in self.answers),
            },
        }

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "is_same": self.is_same,
            **self.begun.as_json(),
            "model": {"recorded": self.begun.header.model, "replayed": self.model},
            "chunks": [chunk.as_json() for chunk in self.chunks],
            "answers": [answer.as_json() for answer in self.answers],
        }

    def as_text(self) -> str:
        """For a person."""
        header = self.begun.header
        rows = [f"session {header.session_id}, recorded by {header.service} with {header.model}"]
        if header.model != self.model:
            rows.append(f"replayed with another model, {self.model}: answers will differ")
        if not header.is_whole:
            rows.append("the stream had begun before: kept tokens and answers may differ")
        num_compared = sum(chunk.is_compared for chunk in self.chunks)
        rows.append(f"chunks   {len(self.chunks)}, compared {num_compared}")
        rows += [
            f"  {chunk.index:>5}  {chunk.failure or ', '.join(chunk.differences)}"
            for chunk in self.chunks
            if chunk.differences
        ]
        rows += [_answer_row(answer) for answer in self.answers]
        return "\n".join([*rows, "same" if self.is_same else "DIFFERENT"])


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _differences(now: Mapping[str, Any], recorded: Mapping[str, Any]) -> tuple[str, ...]:
    # the recorded one went through JSON, where a tuple is a list
    plain = json.loads(json.dumps(now))
    return tuple(name for name in COMPARED if plain.get(name) != recorded.get(name))


def _answer_row(answer: ReplayedAnswer) -> str:
    row = f"answer   {answer.asked.question!r}: "
    row += repr(answer.answer) if answer.reason is None else answer.reason
    return row + (f", recorded {answer.asked.answer!r}" if answer.is_same is False else "")


__all__ = ["ReplayBegun", "ReplayItem", "ReplayedAnswer", "ReplayedChunk", "Report", "digest"]
