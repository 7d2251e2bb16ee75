import asyncio
from dataclasses import replace

import pytest

from compressor.onsets import MIN_QUIET_S, sound_onsets
from compressor.pipeline import StreamState
from service.errors import Unprocessable
from service.media.chunk import Marks
from service.sessions.record import ChunkRecord, SessionConfig, SessionId
from service.sessions.redis_store import RedisSessionStore
from service.stages import CompressorStage
from tests.records import assert_same_record
from tests.service.compression.streams import SIZES, make_chunk, make_compressor
from tests.service.compression.workers import SID, MakeWorker, assert_compressed, value

pytestmark = pytest.mark.redis


def test_the_worker_is_a_compressor_stage(make_worker: MakeWorker) -> None:
    stage: CompressorStage = make_worker()

    assert stage


@pytest.mark.parametrize("profile", ["paper-25", "live", "speech"])
async def test_logged_stream_is_what_the_compressor_makes_of_it(
    make_worker: MakeWorker, store: RedisSessionStore, profile: str
) -> None:
    sid = SessionId(profile)
    await store.create(sid, SessionConfig(profile), 1.0)
    worker, compressor = make_worker(), make_compressor(profile)
    state: StreamState | None = None

    for index in range(6):
        record = await worker.compress(sid, make_chunk(index))

        state = assert_compressed(record, compressor, make_chunk(index), state)
        logged = await store.chunk(sid, index)
        assert logged is not None
        assert_same_record(logged, record)


async def test_ratios_of_the_session_override_its_profile(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    await store.create(SessionId("own"), SessionConfig("paper-25", 0.5, 1.0), 1.0)

    record = await make_worker().compress(SessionId("own"), make_chunk(0))

    assert (record.compressed.counts_kept.video, record.compressed.counts_kept.audio) == (12, 10)


async def test_record_names_the_entry_before_it(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    for index in (0, 1, 4, 9):
        await worker.compress(SID, make_chunk(index))

    assert [record.follows for record in await store.chunks(SID)] == [-1, 0, 1, 4]


async def test_chunk_sent_again_is_answered_from_the_log(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    records = [await worker.compress(SID, make_chunk(index)) for index in range(3)]

    again = await worker.compress(SID, make_chunk(1))

    assert_same_record(again, records[1])
    assert (await store.get(SID)).num_chunks == 3
    assert value(worker, "omnisift_tokens_total", modality="video", stage="in") == 3 * 24


async def test_chunk_that_came_too_late_is_refused(make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.compress(SID, make_chunk(0))
    await worker.compress(SID, make_chunk(2))

    with pytest.raises(Unprocessable, match="chunk 1 came after chunk 2"):
        await worker.compress(SID, make_chunk(1))
    assert (await worker.compress(SID, make_chunk(3))).follows == 2


async def test_chunks_of_one_session_sent_at_once_stay_in_order(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()

    await asyncio.gather(*(worker.compress(SID, make_chunk(index)) for index in range(8)))

    assert [r.follows for r in await store.chunks(SID)] == list(range(-1, 7))


async def test_concurrent_sessions_never_mix(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker = make_worker()
    profiles = ["live", "paper-25", "full", "live"]
    for stream, profile in enumerate(profiles):
        await store.create(SessionId(f"m{stream}"), SessionConfig(profile), 1.0)

    async def run(stream: int) -> None:
        for index in range(5):
            await worker.compress(SessionId(f"m{stream}"), make_chunk(index, stream))

    await asyncio.gather(*(run(stream) for stream in range(4)))

    for stream, profile in enumerate(profiles):
        compressor, state = make_compressor(profile), None
        for record in await store.chunks(SessionId(f"m{stream}")):
            chunk = make_chunk(record.index, stream)
            state = assert_compressed(record, compressor, chunk, state)


async def test_bad_chunk_hurts_neither_its_session_nor_others(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    await store.create(SessionId("other"), SessionConfig("paper-25"), 1.0)
    worker = make_worker()
    bad = make_chunk(0)
    bad.tokens.audio[3, 3] = float("nan")

    results = await asyncio.gather(
        worker.compress(SID, bad),
        worker.compress(SessionId("other"), make_chunk(0)),
        return_exceptions=True,
    )

    assert isinstance(results[0], ValueError)
    assert isinstance(results[1], ChunkRecord)
    assert (await worker.compress(SID, make_chunk(1))).follows == -1


async def test_tokens_and_ratios_are_counted(make_worker: MakeWorker) -> None:
    worker = make_worker()
    records = [await worker.compress(SID, make_chunk(index)) for index in range(3)]

    kept = [record.compressed.counts_kept for record in records]
    for modality, num_in in (("video", 72), ("audio", 20)):
        num_kept = sum(getattr(counts, modality) for counts in kept)
        for stage, number in (("in", num_in), ("kept", num_kept)):
            name = "omnisift_tokens_total"
            assert value(worker, name, modality=modality, stage=stage) == number
    assert value(worker, "omnisift_keep_ratio_count", modality="video") == 3
    assert value(worker, "omnisift_keep_ratio_count", modality="audio") == 2  # one had none
    assert value(worker, "omnisift_keep_ratio_sum", modality="video") == pytest.approx(3 * 6 / 24)


async def test_onsets_are_logged_with_the_chunk(
    make_worker: MakeWorker, store: RedisSessionStore
) -> None:
    worker, compressor = make_worker(), make_compressor()
    compressed, _ = compressor.compress(make_chunk(0).tokens)
    expected, _ = sound_onsets(compressed, SIZES.quiet_score, -MIN_QUIET_S)
    marks = Marks(cuts_s=(1.0,), thumbnail=b"jpeg")

    await worker.compress(SID, replace(make_chunk(0), marks=marks))

    (record,) = await store.chunks(SID)
    assert expected
    assert record.marks == replace(marks, onsets_s=expected)
