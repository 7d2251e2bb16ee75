import threading
import time
from collections.abc import Generator

from av import VideoFrame

from clients.sdk.media.source import FrameReader, Source


def frames(log: list[str], slow_s: float = 0.0) -> Generator[VideoFrame, None, None]:
    try:
        for _ in range(3):
            time.sleep(slow_s)
            yield VideoFrame(2, 2)
    finally:
        log.append("generator")


def test_reader_gives_every_frame_then_none() -> None:
    reader = FrameReader(frames([]))

    assert [reader.read() is None for _ in range(5)] == [False, False, False, True, True]


def test_close_frees_the_generator_then_the_device() -> None:
    log: list[str] = []
    reader = FrameReader(frames(log), release=lambda: log.append("device"))
    reader.read()

    with Source("test", reader, None):
        pass

    assert log == ["generator", "device"]
    assert reader.read() is None


def test_close_waits_for_a_read_in_another_thread() -> None:
    log: list[str] = []
    reader = FrameReader(frames(log, slow_s=0.2))
    thread = threading.Thread(target=lambda: log.append(f"read {reader.read() is not None}"))
    thread.start()
    time.sleep(0.05)

    reader.close()

    thread.join()
    assert sorted(log) == ["generator", "read True"]
