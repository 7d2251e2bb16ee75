import asyncio

import torch

from service.ingest.source import Feed, Picture, Sound
from service.media.frames import AudioFrame, VideoFrame
from tests.media import make_pixels


class Sink:
    def __init__(self) -> None:
        self.items: list[Picture | Sound] = []

    def push(self, item: Picture | Sound) -> None:
        self.items.append(item)

    def discard(self, modality: str, result: str = "undecodable") -> None:
        raise AssertionError("a feed decodes nothing")


async def test_frames_are_placed_from_the_start_of_the_feed() -> None:
    now_s = 100.0
    sink = Sink()
    feed = Feed(sink, lambda: now_s)
    pixels, samples = make_pixels(3), torch.ones(320)

    now_s = 102.5
    feed.push(VideoFrame(2.0, pixels))
    feed.push(AudioFrame(2.25, samples))

    picture, sound = sink.items
    assert (picture.at_s, picture.arrived_s) == (102.0, 102.5)
    assert (sound.at_s, sound.arrived_s) == (102.25, 102.5)
    assert picture.convert() is pixels
    assert sound.convert() is samples


async def test_a_closed_feed_is_gone_and_pushes_nothing() -> None:
    sink = Sink()
    feed = Feed(sink, lambda: 0.0)
    waiting = asyncio.create_task(feed.wait_gone())
    await asyncio.sleep(0)
    assert not waiting.done()

    await feed.aclose()
    feed.push(VideoFrame(0.0, make_pixels(0)))

    await asyncio.wait_for(waiting, timeout=1)
    assert sink.items == []
