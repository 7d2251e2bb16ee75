"""Records to wire models. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from compressor.tokens import TokenCounts
from service.api import schemas
from service.llm.engine import Finished
from service.llm.unit import Unit
from service.media.chunk import CHUNK_S, Gap
from service.sessions.record import ChunkRecord, Session, Turn


def tokens(counts_in: TokenCounts, counts_kept: TokenCounts) -> schemas.Tokens:
    return schemas.Tokens(
        video=schemas.ModalityTokens(in_=counts_in.video, kept=counts_kept.video),
        audio=schemas.ModalityTokens(in_=counts_in.audio, kept=counts_kept.audio),
    )


def session(record: Session) -> schemas.Session:
    path = f"/v1/sessions/{record.id}"
    total_in = record.counts_in.total
    return schemas.Session(
        id=record.id,
        status=record.status.value,
        profile=record.config.profile,
        keep_ratio=record.counts_kept.total / total_in if total_in else None,
        created_at_s=record.created_at_s,
        started_at_s=record.started_at_s,
        ended_at_s=record.ended_at_s,
        end_reason=record.end_reason,
        chunks=record.num_chunks,
        stream_s=(record.last_index + 1) * CHUNK_S,
        lag_s=record.lag_s,
        tokens=tokens(record.counts_in, record.counts_kept),
        metadata=record.config.metadata,
        links=schemas.SessionLinks(
            self_=path, whip=f"{path}/whip", query=f"{path}/query", events=f"{path}/events"
        ),
    )


def answer(question_id: str, record: Session, question: str, finished: Finished) -> schemas.Answer:
    return schemas.Answer.model_validate(
        {
            "id": question_id,
            "session_id": record.id,
            "question": question,
            "answer": finished.text,
            "finish_reason": finished.reason,
            "context_start_s": finished.context_start_s,
            "context_end_s": finished.context_end_s,
            "spans": [{"start_s": start, "end_s": end} for start, end in finished.spans],
            "ttft_s": finished.ttft_s,
            "duration_s": finished.duration_s,
            "usage": usage(record, finished),
        }
    )


def usage(record: Session, finished: Finished) -> schemas.Usage:
    return schemas.Usage(
        prompt_tokens=finished.prompt_tokens,
        completion_tokens=finished.completion_tokens,
        total_tokens=finished.prompt_tokens + finished.completion_tokens,
        stream=tokens(record.counts_in, record.counts_kept),
    )


def turn(record: Turn) -> schemas.TurnItem:
    return schemas.TurnItem.model_validate(record)


def timeline(
    session_id: str,
    records: Sequence[ChunkRecord],
    units: Sequence[Unit],
    turns: Sequence[Turn],
) -> schemas.Timeline:
    held = {unit.index: unit.held for unit in units if unit.num_tokens}
    start_s = records[0].index * CHUNK_S if records else 0.0
    return schemas.Timeline(
        session_id=session_id,
        chunks=[_unit(record, held.get(record.index)) for record in records],
        questions=[
            schemas.TimelineQuestion(
                id=turn.id, question=turn.question, stream_s=turn.context_end_s
            )
            for turn in turns
            if turn.context_end_s > start_s
        ],
    )


def _unit(record: ChunkRecord, held: TokenCounts | None) -> schemas.TimelineChunk:
    marks = record.marks
    return schemas.TimelineChunk(
        index=record.index,
        start_s=record.index * CHUNK_S,
        end_s=(record.index + 1) * CHUNK_S,
        tokens=tokens(record.compressed.counts_in, record.compressed.counts_kept),
        held=None if held is None else _held(held),
        gaps=[schemas.GapItem.model_validate(_gap(gap)) for gap in record.gaps],
        cuts_s=list(marks.cuts_s),
        onsets_s=list(marks.onsets_s),
        has_thumbnail=marks.thumbnail is not None,
    )


def _held(counts: TokenCounts) -> schemas.HeldTokens:
    return schemas.HeldTokens(video_tokens=counts.video, audio_tokens=counts.audio)


def _gap(gap: Gap) -> Mapping[str, Any]:
    return {"modality": gap.modality, "start_s": gap.start_s, "duration_s": gap.duration_s}


def wire(model: schemas.Response) -> dict[str, Any]:
    """JSON-ready fields of a model, under the names of the wire."""
    return model.model_dump(mode="json", by_alias=True)
