from dataclasses import replace

import pytest

from service.ingest.config import IngestConfig


def test_defaults_fit_together() -> None:
    config = IngestConfig()

    # a lease outlives the time between two renewals by far
    assert config.care_s < config.lease_s / 3
    # a dead connection can be replaced before its session is called idle, and long before its end
    assert config.liveness.takeover_s < config.liveness.silent_s < config.liveness.idle_s
    # media is looked at often enough that a chunk does not wait for it
    assert config.tick_s < config.chunker.max_wait_s / 2
    # the queue holds what comes while a chunk may be waited for
    assert config.queue.max_items * 0.02 > config.chunker.max_wait_s


def test_configs_are_values() -> None:
    with pytest.raises(AttributeError):
        IngestConfig().lease_s = 1.0  # type: ignore[misc]  # frozen
    assert replace(IngestConfig(), max_sessions=1).max_sessions == 1
