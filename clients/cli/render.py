"""Values as lines of text. Knows nothing about terminals; every function is pure."""

from collections.abc import Sequence

from clients.cli.table import Table
from clients.sdk.events import (
    ChunkEvent,
    DroppedEvent,
    Event,
    MomentEvent,
    RuleEvent,
    SourceEvent,
    StatusEvent,
    TurnEvent,
)
from clients.sdk.models import Answer, FileAnswer, ModalityTokens, Session, Tokens

WATCH_HEADER = (
    f"{'at':>8}  {'event':<10} {'stream':>15}"
    f"  {'video':>12}  {'audio':>10}  {'kept':>5}  {'lag':>7}"
)


def percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.0f} %"


def seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.2f} s"


def clock(value_s: float) -> str:
    """Stream time as minutes:seconds, or hours:minutes:seconds."""
    minutes, rest_s = divmod(int(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest_s:02}" if hours else f"{minutes:02}:{rest_s:02}"


def tokens(counts: ModalityTokens) -> str:
    return f"{counts.in_} -> {counts.kept}"


def event_line(event: Event, *, start_at_s: float) -> str:
    """One event as a line under `WATCH_HEADER`.

    Args:
        event: What happened.
        start_at_s: Unix time that counts as zero.
    """
    at = clock(max(0.0, event.at_s - start_at_s))
    if isinstance(event, ChunkEvent):
        span = f"{event.start_s:.1f}-{event.end_s:.1f} s"
        gaps = "".join(f"  no {gap.modality} for {gap.duration_s:.2f} s" for gap in event.gaps)
        return (
            f"{at:>8}  {'chunk ' + str(event.index):<10} {span:>15}"
            f"  {tokens(event.tokens.video):>12}  {tokens(event.tokens.audio):>10}"
            f"  {percent(event.tokens.keep_ratio):>5}  {seconds(event.lag_s):>7}{gaps}"
        )
    return f"{at:>8}  {_told(event)}"


def _told(event: Event) -> str:
    if isinstance(event, StatusEvent):
        return event.status + (f" ({event.reason})" if event.reason else "")
    if isinstance(event, DroppedEvent):
        if event.reason == "oversized":
            return "dropped    pictures larger than what is taken: send 3840x2160 or less"
        which = "a chunk" if event.index is None else f"chunk {event.index}"
        return f"dropped    {which}: {event.reason}"
    if isinstance(event, TurnEvent):
        return f"asked      {event.turn.question!r}: {event.turn.answer!r}"
    if isinstance(event, RuleEvent):
        return f"rule       {event.condition!r} at {percent(event.probability)}: {event.rule_id}"
    if isinstance(event, SourceEvent):
        what = event.url or "upload"
        return f"source     {what} is {event.state}" + (
            f" ({event.reason})" if event.reason else ""
        )
    if isinstance(event, MomentEvent):
        return f"{event.type:<10} at {event.start_s:.1f} s"
    return event.type


def answer_summary(answer: Answer) -> str:
    """What an answer cost and saw."""
    stream = answer.usage.stream
    return (
        f"{answer.finish_reason} after {answer.usage.completion_tokens} tokens; "
        f"first in {seconds(answer.ttft_s)}, all in {seconds(answer.duration_s)}; "
        f"saw {answer.context_start_s:.0f}-{answer.context_end_s:.0f} s of stream, "
        f"{percent(stream.keep_ratio)} of its {stream.total.in_} tokens kept"
    )


def file_answer_summary(answer: FileAnswer) -> str:
    """What an answer about files cost."""
    stream = answer.usage.stream
    return (
        f"{answer.finish_reason} after {answer.usage.completion_tokens} tokens; "
        f"{percent(stream.keep_ratio)} of the files' {stream.total.in_} tokens kept"
    )


def session_table(sessions: Sequence[Session]) -> Table:
    """Sessions, one a row."""
    rows = [
        (
            session.id,
            session.status,
            session.profile,
            clock(session.stream_s),
            percent(session.keep_ratio),
            seconds(session.lag_s),
        )
        for session in sessions
    ]
    return Table(("session", "status", "profile", ">stream", ">kept", ">lag"), rows)


def session_card(session: Session) -> str:
    """All that is known of a session, a line each."""
    reason = f" ({session.end_reason})" if session.end_reason else ""
    rows = {
        "session": session.id,
        "status": f"{session.status}{reason}",
        "profile": session.profile,
        "stream": f"{clock(session.stream_s)} in {session.chunks} chunks",
        "video tokens": tokens(session.tokens.video),
        "audio tokens": tokens(session.tokens.audio),
        "kept": percent(session.keep_ratio),
        "lag": seconds(session.lag_s),
        **{f"metadata {key}": value for key, value in session.metadata.items()},
    }
    return "\n".join(f"{name:<14} {value}" for name, value in rows.items())


def sent_line(sent_s: float, num_chunks: int, counts: Tokens) -> str:
    """What publishing came to."""
    ratio = counts.keep_ratio
    saved = "no tokens" if ratio is None else f"{percent(1 - ratio)} of tokens saved"
    return (
        f"sent {sent_s:.1f} s, {num_chunks} chunks in context: "
        f"video {tokens(counts.video)}, audio {tokens(counts.audio)}, {saved}"
    )


def progress_line(state: str, sent_s: float, counts: Tokens, lag_s: float | None) -> str:
    """How publishing stands: a line that fits an 80-column terminal."""
    line = f"{clock(sent_s)}  {state}"
    ratio = counts.keep_ratio
    if ratio is not None:
        line += (
            f"  video {tokens(counts.video)}  audio {tokens(counts.audio)}"
            f"  {percent(1 - ratio)} saved  lag {seconds(lag_s)}"
        )
    return line
