from collections.abc import Sequence

import pytest

from clients.cli.bench.load import Load, run_load
from clients.cli.bench.tally import Tally
from clients.sdk import AsyncClient
from tests.clients.fake_service import RunningService

pytestmark = pytest.mark.webrtc


async def test_publishers_stream_ask_and_leave_nothing_behind(service: RunningService) -> None:
    ticks: list[Sequence[Tally]] = []
    load = Load(2, duration_s=1.5, ramp_s=0.2, ask_every_s=0.3, question="what ?", profile="speech")

    async with AsyncClient(service.url) as client:
        tallies = await run_load(client, load, ticks.append)

    assert len(ticks) > 1
    for tally in tallies:
        assert tally.failure is None
        assert tally.lags_s
        assert tally.ttfts_s
        assert tally.tokens.keep_ratio == pytest.approx(49 / 146)
    records = [feed.record for feed in service.fake.feeds.values()]
    assert [(record.status, record.profile) for record in records] == [("ended", "speech")] * 2


async def test_one_that_is_refused_does_not_stop_the_others(service: RunningService) -> None:
    service.fake.refusals["POST", "/s0/whip"] = (503, "at_capacity", {"Retry-After": "5"})
    load = Load(2, duration_s=1.0, ramp_s=0.3, ask_every_s=0, question="")

    async with AsyncClient(service.url) as client:
        first, second = await run_load(client, load, lambda _tallies: None)

    assert "at_capacity" in str(first.failure)
    assert second.failure is None
    assert second.lags_s
    assert not second.ttfts_s
    assert service.fake.feed("s0").record.status == "ended"
