import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from service.clock import steady_clock
from service.errors import ServiceError
from service.ingest.container import ContainerLimits, open_container
from service.ingest.origin import Opener, Origin
from service.ingest.pull import Pull, SourceView
from service.retry import RetryConfig
from service.source_errors import MediaUnreadable, SourceDenied, SourceUnreachable
from tests.clips import write_clip
from tests.eventually import eventually
from tests.service.ingest.test_playback import Room

QUICK = RetryConfig(first_backoff_s=0.02, max_backoff_s=0.05, deadline_s=0.5)
AWAY = SourceUnreachable("away")


class Scripted(Origin):
    """Plays a clip, or fails, as its script says; the last line of which repeats."""

    def __init__(self, path: Path, *script: ServiceError | None, is_live: bool = False) -> None:
        self._path = path
        self._script = list(script)
        self._is_live = is_live
        self.num_attempts = 0

    @property
    def is_live(self) -> bool:
        return self._is_live

    @property
    def url(self) -> str:
        return "rtsp://camera/live"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Opener]:
        self.num_attempts += 1
        failure = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if failure is not None:
            raise failure
        yield partial(open_container, str(self._path), ContainerLimits(), protocols="file")

    def close(self) -> None:
        pass


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", duration_s=0.5, fps=4)


class Told:
    """A pull and what it has told."""

    def __init__(self, origin: Origin, retry: RetryConfig = QUICK) -> None:
        self.views: list[SourceView] = []
        self.sink = Room()
        self.pull = Pull("src_1", origin, "fast", self.sink, steady_clock(), retry, self._tell)
        self.pull.start()

    async def _tell(self, view: SourceView) -> None:
        self.views.append(view)

    @property
    def states(self) -> list[str]:
        return [view.state for view in self.views]

    async def wait(self) -> "Told":
        await asyncio.wait_for(self.pull.wait_gone(), 20)
        await self.pull.aclose()
        return self


async def test_a_recording_ends_at_its_end(clip: Path) -> None:
    told = await Told(Scripted(clip, None)).wait()

    assert told.states == ["connecting", "live", "ended"]
    assert told.pull.view == told.views[-1]
    assert told.pull.view.reason is None
    assert told.sink.items


async def test_a_recording_that_cannot_be_reached_fails_at_once(clip: Path) -> None:
    origin = Scripted(clip, AWAY)
    told = await Told(origin).wait()

    assert told.states == ["connecting", "failed"]
    assert told.pull.view.reason == AWAY.message
    assert origin.num_attempts == 1


async def test_a_live_source_is_tried_again_each_time_it_is_lost(clip: Path) -> None:
    told = Told(Scripted(clip, AWAY, AWAY, None, AWAY, None, is_live=True))
    await eventually(lambda: told.states.count("live") >= 3)
    await told.pull.aclose()

    assert told.states[:7] == [
        "connecting",
        "reconnecting",
        "reconnecting",
        "live",
        "reconnecting",
        "reconnecting",
        "live",
    ]
    assert (told.states[-1], told.views[-1].reason) == ("ended", "stopped")


async def test_a_live_source_that_stays_away_is_given_up(clip: Path) -> None:
    told = await Told(Scripted(clip, None, AWAY, is_live=True)).wait()

    assert told.states[1] == "live"
    assert told.states[-1] == "failed"
    assert told.states.count("reconnecting") > 3


@pytest.mark.parametrize("failure", [SourceDenied("401"), MediaUnreadable("no tracks")])
async def test_what_would_not_change_is_not_tried_again(clip: Path, failure: ServiceError) -> None:
    origin = Scripted(clip, failure, is_live=True)
    told = await Told(origin).wait()

    assert told.states == ["connecting", "failed"]
    assert origin.num_attempts == 1


async def test_closing_ends_it_whatever_it_does(clip: Path) -> None:
    told = Told(Scripted(clip, AWAY, is_live=True))
    await eventually(lambda: "reconnecting" in told.states)

    await told.pull.aclose()
    await told.pull.aclose()

    assert told.states.count("ended") == 1
    await asyncio.wait_for(told.pull.wait_gone(), 1)


async def test_a_bug_fails_the_source_and_is_logged(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = await Told(Scripted(clip, ValueError("bug"))).wait()  # type: ignore[arg-type]

    assert told.views[-1].reason == "internal error"
    assert "source failed" in caplog.text


async def test_a_source_that_flaps_is_tried_less_and_less_often(clip: Path) -> None:
    origin = Scripted(clip, None, is_live=True)
    told = Told(origin, retry=RetryConfig(first_backoff_s=0.05, max_backoff_s=10.0))
    await asyncio.sleep(1.0)
    await told.pull.aclose()

    # pauses of 0.05, 0.1, 0.2, 0.4 s and what playing takes
    assert 2 <= origin.num_attempts <= 5
    assert told.states.count("live") >= 1
