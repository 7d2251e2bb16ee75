"""Warming up leaves nothing behind."""

import pytest

from service.errors import AtCapacity
from service.llm.config import EngineConfig
from service.llm.rehearsal import rehearse
from tests.service.llm.thinker import build_scheduler


def test_rehearsal_runs_every_kind_of_work_and_leaves_no_page() -> None:
    scheduler = build_scheduler()

    rehearse(scheduler)

    stats = scheduler.stats()
    assert min(stats.decode_tokens, stats.chunk_tokens, stats.question_tokens) > 0
    assert (stats.pages_used, stats.sessions, stats.running) == (0, 0, 0)
    rehearse(scheduler)


def test_rehearsal_in_too_small_a_pool_says_so() -> None:
    scheduler = build_scheduler(EngineConfig(num_pages=4, context_tokens=100))

    with pytest.raises(AtCapacity):
        rehearse(scheduler)

    assert scheduler.stats().sessions == 0
