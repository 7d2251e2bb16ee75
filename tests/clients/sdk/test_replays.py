from collections.abc import AsyncGenerator

import pytest

from clients.sdk.errors import ConnectionFailed, MalformedAnswer, Unavailable
from clients.sdk.replays import (
    ReplayBegun,
    ReplayedAnswer,
    ReplayedChunk,
    ReplayReport,
    ReplayStream,
)
from service.api.replays import replay_events
from service.errors import ServiceError
from service.errors import Unavailable as ServiceUnavailable
from service.ingest.recording.report import ReplayItem
from service.sessions.record import SessionId
from tests.clients import replays


async def said(*items: ReplayItem | ServiceError) -> list[bytes]:
    """What the service says of a replay."""

    async def play() -> AsyncGenerator[ReplayItem, None]:
        for item in items:
            if isinstance(item, ServiceError):
                raise item
            yield item

    events = replay_events(SessionId("s_again"), replays.make_begun(), play(), "tiny")
    return [event async for event in events]


async def test_a_replay_is_read_as_the_service_tells_it() -> None:
    stream = ReplayStream()
    data = b"".join(await said(replays.SAME, replays.OTHER, replays.FAILED, replays.MISHEARD))

    begun, *chunks, answer, report = [item for byte in data for item in stream.feed(bytes([byte]))]
    stream.close()

    assert isinstance(begun, ReplayBegun)
    assert (begun.session_id, begun.recording.num_chunks) == ("s_again", 3)
    assert all(isinstance(chunk, ReplayedChunk) for chunk in chunks)
    assert [getattr(chunk, "differences", None) for chunk in chunks] == [
        (),
        ("kept", "tokens"),
        ("failed",),
    ]
    assert isinstance(answer, ReplayedAnswer)
    assert (answer.recorded, answer.replayed, answer.is_same) == ("a bell", "a drum", False)
    assert isinstance(report, ReplayReport)
    assert (report.is_same, report.chunks.different, report.answers.different) == (False, 2, 1)


async def test_an_answer_that_cannot_be_compared_is_no_difference() -> None:
    stream = ReplayStream()

    *_, answer, report = stream.feed(b"".join(await said(replays.SAME, replays.DRAWN)))

    assert isinstance(answer, ReplayedAnswer)
    assert (answer.is_same, answer.reason) == (None, "it was drawn")
    assert isinstance(report, ReplayReport)
    assert report.is_same


async def test_a_replay_that_is_broken_off_is_an_error() -> None:
    stream = ReplayStream()
    *begun, error = await said(replays.SAME, ServiceUnavailable("it moves"))

    stream.feed(b"".join(begun))
    with pytest.raises(Unavailable, match="it moves"):
        stream.feed(error)


async def test_a_replay_without_its_report_is_not_over() -> None:
    stream = ReplayStream()
    stream.feed((await said(replays.SAME))[0])

    with pytest.raises(ConnectionFailed, match="before the replay was over"):
        stream.close()


def test_events_of_another_kind_are_skipped_and_nonsense_is_not() -> None:
    stream = ReplayStream()

    assert stream.feed(b"event: news\ndata: {}\n\n") == []
    with pytest.raises(MalformedAnswer):
        stream.feed(b"event: chunk\ndata: {]\n\n")
