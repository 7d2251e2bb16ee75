"""What the demo measured, for a person and for a program. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

STAGES = {
    "encode": "vision and audio towers",
    "compress": "prune tokens, append to the log in Redis",
    "prefill": "extend the KV cache",
}
MAX_VIDEO_KEEP_RATIO = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the demo and what came back.

    Attributes:
        route: How it was asked, for the table.
        at_s: Stream time up to which the answer had seen.
        expected: The right answer.
        ttft_s: Arrival of the question to its first token.
    """

    route: str
    question: str
    answer: str
    expected: str
    at_s: float
    ttft_s: float

    @property
    def is_right(self) -> bool:
        return self.answer.strip().lower() == self.expected.lower()


@dataclass(frozen=True, slots=True)
class ChunkSeen:
    """One chunk as the event feed told it; tokens are (in, kept)."""

    lag_s: float
    stages_s: dict[str, float]
    video: tuple[int, int]
    audio: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the demo prints at its end."""

    session_id: str
    profile: str
    chunks: Sequence[ChunkSeen]
    asked: Sequence[Asked]

    @property
    def video(self) -> tuple[int, int]:
        return sum(c.video[0] for c in self.chunks), sum(c.video[1] for c in self.chunks)

    @property
    def audio(self) -> tuple[int, int]:
        return sum(c.audio[0] for c in self.chunks), sum(c.audio[1] for c in self.chunks)

    @property
    def is_ok(self) -> bool:
        """The stream flowed, video shrank to a quarter, every question was answered right."""
        video_in, video_kept = self.video
        return (
            len(self.chunks) > 0
            and 0 < video_kept <= MAX_VIDEO_KEEP_RATIO * video_in
            and len(self.asked) >= 3
            and all(asked.is_right for asked in self.asked)
        )

    def as_json(self) -> dict[str, Any]:
        """The demo's last line."""
        (video_in, video_kept), (audio_in, audio_kept) = self.video, self.audio
        return {
            "ok": self.is_ok,
            "session_id": self.session_id,
            "chunks": len(self.chunks),
            "tokens": {
                "video": {"in": video_in, "kept": video_kept},
                "audio": {"in": audio_in, "kept": audio_kept},
            },
            "lag_s": _median([c.lag_s for c in self.chunks]),
            "ttft_s": _median([a.ttft_s for a in self.asked]),
            "answers": [
                {"question": a.question, "answer": a.answer, "expected": a.expected}
                for a in self.asked
            ],
        }

    def as_text(self) -> str:
        """The demo's tables."""
        return "\n".join(["", *self._stage_rows(), "", *self._token_rows(), "", *self._answers()])

    def _stage_rows(self) -> list[str]:
        rows = [f"{'where the time goes, per 2 s chunk':<62}{'median':>10}{'worst':>10}"]
        for stage, what in STAGES.items():
            times_s = [c.stages_s[stage] for c in self.chunks if stage in c.stages_s]
            rows.append(f"  {stage:<10}{what:<50}{_ms(times_s)}")
        lag = "  lag       end of the chunk's media to its tokens in context"
        rows.append(f"{lag:<62}{_ms([c.lag_s for c in self.chunks])}")
        ttft = "  TTFT      question received to first token of the answer"
        rows.append(f"{ttft:<62}{_ms([a.ttft_s for a in self.asked])}")
        return rows

    def _token_rows(self) -> list[str]:
        heading = f"tokens, profile {self.profile}, {len(self.chunks)} chunks"
        rows = [f"{heading:<38}{'in':>10}{'kept':>10}{'keep_ratio':>12}"]
        total = (self.video[0] + self.audio[0], self.video[1] + self.audio[1])
        for name, (count_in, kept) in (
            ("video", self.video),
            ("audio", self.audio),
            ("together", total),
        ):
            ratio = f"{kept / count_in:.3f}" if count_in else "-"
            rows.append(f"  {name:<36}{count_in:>10}{kept:>10}{ratio:>12}")
        return rows

    def _answers(self) -> list[str]:
        rows = ["questions, asked while the stream was running"]
        for asked in self.asked:
            verdict = "right" if asked.is_right else f"wrong, expected {asked.expected!r}"
            rows.append(f"  at {asked.at_s:4.1f} s by {asked.route:<17} {asked.question}")
            rows.append(f"  {'':<28} {asked.answer or '(nothing)'}   {verdict}")
        return rows


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 4) if values else None


def _ms(values_s: Sequence[float]) -> str:
    if not values_s:
        return f"{'-':>10}{'-':>10}"
    return f"{median(values_s) * 1000:>7.1f} ms{max(values_s) * 1000:>7.1f} ms"
