import pytest

from service.errors import AtCapacity, Forbidden, Unavailable
from service.ingest.recording.recorder import Recorder, RecordingConfig
from service.ingest.recording.recordings import Recordings
from service.sessions.record import SessionId, Turn


def make_recorder() -> Recorder:
    async def turns() -> list[Turn]:
        return []

    return Recorder(1.0, RecordingConfig(), lambda: 0.0, turns)


async def test_a_session_has_one_recording_and_a_replica_a_few() -> None:
    recordings = Recordings(RecordingConfig(max_recordings=2))
    recordings.add(SessionId("a"), make_recorder())

    with pytest.raises(AtCapacity, match="of this session"):
        recordings.check_room(SessionId("a"))
    recordings.add(SessionId("b"), make_recorder())
    with pytest.raises(AtCapacity, match="limit of 2"):
        recordings.check_room(SessionId("c"))

    recordings.remove(SessionId("a"))
    recordings.check_room(SessionId("c"))
    assert SessionId("a") not in recordings


async def test_a_recording_is_found_by_its_id_alone() -> None:
    recordings, recorder = Recordings(RecordingConfig()), make_recorder()
    recording_id = recordings.add(SessionId("a"), recorder)

    assert recordings.find(SessionId("a"), recording_id) is recorder
    for session_id, other_id in (("a", "x"), ("b", recording_id), ("b", "")):
        with pytest.raises(Unavailable):
            recordings.find(SessionId(session_id), other_id)


async def test_none_are_made_where_none_may_be() -> None:
    with pytest.raises(Forbidden, match="MAX_RECORDINGS"):
        Recordings(RecordingConfig(max_recordings=0)).check_room(SessionId("a"))
