"""Limits of the engine and how it computes. Knows nothing about where they are set."""

from dataclasses import dataclass, field
from typing import Literal

from service.llm.policy import Policy, Progressive

AttentionName = Literal["auto", "gather", "triton"]


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits of the engine, and how it computes.

    Attributes:
        num_pages: Pages of the KV cache.
        page_tokens: Tokens per page.
        step_tokens: Tokens of one packed forward, decodes included.
        context_tokens: Stream tokens held per session.
        total_tokens: Tokens that all contexts hold together, headers included; None: what pages
            allow.
        max_questions: Questions answered or waiting at once, fewer than `step_tokens`.
        question_ratio: Share of the pages that contexts leave to questions, in (0, 1).
        reserve_ratio: Share of `context_tokens` that is set aside for each session, in (0, 1];
            sessions for which that is no longer possible are refused. With 1 none ever shrinks for
            another.
        policy: What a context holds within its budget.
        notes_gaps: Whether a question is told which part of the stream is no longer held.
        attention: Which attention body it takes; see `choose_attention`.
        cuda_graphs: Whether steps of single tokens are captured, where the body is Triton's.
        int8_weights: Whether the text model's layers hold their weights as int8; see `Int8Linear`.

    Raises:
        ValueError: On a value out of its range.
    """

    num_pages: int = 4096
    page_tokens: int = 16
    step_tokens: int = 512
    context_tokens: int = 8192
    total_tokens: int | None = None
    max_questions: int = 32
    question_ratio: float = 0.125
    reserve_ratio: float = 0.125
    policy: Policy = field(default_factory=Progressive)
    notes_gaps: bool = False
    attention: AttentionName = "auto"
    cuda_graphs: bool = True
    int8_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("num_pages", "page_tokens", "context_tokens", "max_questions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.max_questions >= self.step_tokens:
            raise ValueError(
                f"max_questions must be below step_tokens, got {self.max_questions} and "
                f"{self.step_tokens}: decodes alone would fill every step"
            )
        if self.total_tokens is not None and self.total_tokens < 1:
            raise ValueError(f"total_tokens must be 1 or more, got {self.total_tokens}")
        if not 0 < self.reserve_ratio <= 1:
            raise ValueError(f"reserve_ratio must be in (0, 1], got {self.reserve_ratio}")
        if not 0 < self.question_ratio < 1:
            raise ValueError(f"question_ratio must be in (0, 1), got {self.question_ratio}")
