import asyncio

import pytest

from clients.sdk.errors import ConnectionFailed, MalformedAnswer
from clients.sdk.media import open_synthetic
from clients.sdk.media.peer import SendingPeer, rtc_servers
from clients.sdk.media.tracks import Meter
from clients.sdk.whip import IceServer
from tests.clients.receiver import Receiver

pytestmark = pytest.mark.webrtc


def not_a_tick() -> None:
    return None


async def test_frames_reach_a_real_peer_until_the_limit() -> None:
    receiver, meter, ticks = Receiver(), Meter(), []
    with open_synthetic() as source:
        peer = SendingPeer(source, meter, until_s=1.0)

        await peer.accept(await receiver.answer(await peer.offer()))
        await peer.finished(lambda: ticks.append(meter.sent_s))
        await peer.close()
    await receiver.close()

    assert meter.num_video_frames == 15
    assert meter.num_audio_frames == 50
    assert len(receiver.frames["video"]) > 8
    assert len(receiver.frames["audio"]) > 30
    assert ticks == sorted(ticks)


async def test_offer_is_send_only_and_names_no_outside_server() -> None:
    with open_synthetic() as source:
        peer = SendingPeer(source, Meter(), None)
        offer = await peer.offer()
        await peer.close()

    assert offer.count("a=sendonly") == 2
    assert "typ host" in offer
    assert "typ srflx" not in offer


@pytest.mark.parametrize("answer", ["", "hello", "v=0\r\nm=video 9 X 96\r\n"])
async def test_answer_that_is_none_is_refused(answer: str) -> None:
    with open_synthetic() as source:
        peer = SendingPeer(source, Meter(), None)
        await peer.offer()
        with pytest.raises(MalformedAnswer):
            await peer.accept(answer)
        await peer.close()


async def test_receiver_that_goes_away_is_a_lost_connection() -> None:
    receiver = Receiver()
    with open_synthetic() as source:
        peer = SendingPeer(source, Meter(), None)
        await peer.accept(await receiver.answer(await peer.offer()))

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(receiver.close())
            with pytest.raises(ConnectionFailed, match="lost"):
                await peer.finished(not_a_tick)
        await peer.close()


async def test_receiver_that_falls_silent_is_a_lost_connection() -> None:
    clock_s = 0.0

    def now() -> float:
        return clock_s

    receiver = Receiver()
    with open_synthetic() as source:
        peer = SendingPeer(source, Meter(), None, now=now)
        await peer.accept(await receiver.answer(await peer.offer()))

        def hurry() -> None:
            nonlocal clock_s
            clock_s += 11.0

        # a clock that runs ahead: no report can come in time
        with pytest.raises(ConnectionFailed, match="lost"):
            await peer.finished(hurry)
        await peer.close()
    await receiver.close()


async def test_connection_that_the_service_denies_is_lost_after_a_short_silence() -> None:
    clock_s = 0.0
    asked_at_s: list[float] = []

    async def is_denied_in_the_end() -> bool:
        asked_at_s.append(clock_s)
        return len(asked_at_s) < 3

    def hurry() -> None:
        nonlocal clock_s
        clock_s += 1.0

    receiver = Receiver()
    with open_synthetic() as source:
        peer = SendingPeer(source, Meter(), None, now=lambda: clock_s)
        await peer.accept(await receiver.answer(await peer.offer()))
        # no report is heard
        await receiver.fall_silent()

        with pytest.raises(ConnectionFailed, match="no longer holds"):
            await peer.finished(hurry, is_denied_in_the_end)
        await peer.close()
    await receiver.close()

    assert len(asked_at_s) == 3
    assert asked_at_s[-1] < 11.0


def test_servers_are_handed_to_webrtc() -> None:
    (server,) = rtc_servers([IceServer("turn:h.test", "17:publisher", "secret")])

    assert (server.urls, server.username, server.credential) == (
        "turn:h.test",
        "17:publisher",
        "secret",
    )
