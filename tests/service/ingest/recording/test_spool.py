import asyncio

import pytest

from service.errors import Unavailable
from service.ingest.recording.spool import Spool


async def test_parts_are_the_file_in_order() -> None:
    spool = Spool(part_bytes=4)
    spool.write(b"abcdef")
    spool.write(b"gh")
    spool.complete()

    parts = [await spool.part(number, wait_s=1) for number in range(3)]

    assert parts == [b"abcd", b"efgh", None]
    assert (len(spool), spool.num_bytes) == (0, 8)


async def test_a_part_can_be_asked_for_again_but_not_an_older_one() -> None:
    spool = Spool(part_bytes=2)
    spool.write(b"abcd")
    await spool.part(0, wait_s=1)

    assert await spool.part(0, wait_s=1) == b"ab"
    assert await spool.part(1, wait_s=1) == b"cd"
    for number in (0, 3):
        with pytest.raises(Unavailable, match="is gone"):
            await spool.part(number, wait_s=1)


async def test_a_part_waits_for_bytes_and_gives_up_in_time() -> None:
    spool = Spool(part_bytes=2)

    assert await spool.part(0, wait_s=0.01) == b""
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(spool.part(0, wait_s=20))
        await asyncio.sleep(0)
        spool.write(b"a")
    assert waiting.result() == b"a"


async def test_the_end_wakes_who_waits() -> None:
    spool = Spool(part_bytes=2)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(spool.part(0, wait_s=20))
        await asyncio.sleep(0)
        spool.complete()

    assert waiting.result() is None
