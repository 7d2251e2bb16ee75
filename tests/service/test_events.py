import pickle

from service.events import Event


def test_event_survives_a_process_border() -> None:
    event = Event("chunk", "s1", 12.5, {"index": 3})

    assert pickle.loads(pickle.dumps(event)) == event
