import asyncio

import pytest

from service.errors import AtCapacity, BodyTooLarge, Unavailable
from service.ingest.uploads import UploadLimits, Uploads
from service.sessions.record import SessionId
from tests.eventually import eventually

ONE, TWO = SessionId("one"), SessionId("two")


def make_uploads(given_up: list[SessionId] | None = None, **limits: float) -> Uploads:
    told = [] if given_up is None else given_up
    return Uploads(UploadLimits(**limits), told.append)  # type: ignore[arg-type]  # any field


async def test_parts_become_the_file() -> None:
    uploads = make_uploads()
    upload_id = uploads.begin(ONE)

    await uploads.append(ONE, upload_id, 0, b"abc")
    await uploads.append(ONE, upload_id, 3, b"de")
    await uploads.append(ONE, upload_id, 3, b"de")  # sent again after a lost answer

    with uploads.take(ONE, upload_id) as file:
        assert file.read() == b"abcde"
    assert not uploads.has(ONE)


async def test_a_missing_part_is_noticed() -> None:
    uploads = make_uploads()
    upload_id = uploads.begin(ONE)

    with pytest.raises(Unavailable, match="missing"):
        await uploads.append(ONE, upload_id, 3, b"de")
    uploads.drop_all()


async def test_a_recording_over_the_limit_is_dropped() -> None:
    uploads = make_uploads(max_bytes=4)
    upload_id = uploads.begin(ONE)
    await uploads.append(ONE, upload_id, 0, b"abcd")

    with pytest.raises(BodyTooLarge):
        await uploads.append(ONE, upload_id, 4, b"e")
    assert not uploads.has(ONE)


async def test_there_are_only_so_many_at_once() -> None:
    uploads = make_uploads(max_uploads=1)
    upload_id = uploads.begin(ONE)

    with pytest.raises(AtCapacity):
        uploads.begin(TWO)
    uploads.drop(upload_id)
    uploads.drop(uploads.begin(TWO))


async def test_an_upload_is_its_sessions_own() -> None:
    uploads = make_uploads()
    upload_id = uploads.begin(ONE)

    with pytest.raises(Unavailable):
        await uploads.append(TWO, upload_id, 0, b"x")
    with pytest.raises(Unavailable):
        uploads.take(TWO, upload_id)
    uploads.drop_all(TWO)
    assert uploads.has(ONE)
    uploads.drop_all(ONE)
    assert not uploads.has(ONE)


async def test_an_upload_that_is_not_continued_is_given_up() -> None:
    given_up: list[SessionId] = []
    uploads = make_uploads(given_up, idle_s=0.2)
    upload_id = uploads.begin(ONE)
    for offset in range(3):
        await asyncio.sleep(0.1)
        await uploads.append(ONE, upload_id, offset, b"x")
    assert given_up == []

    await eventually(lambda: given_up == [ONE])

    with pytest.raises(Unavailable, match="send it again"):
        uploads.take(ONE, upload_id)
