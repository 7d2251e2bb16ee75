from hypothesis import given
from hypothesis import strategies as st

from service.ingest.queue import Begin, Gone, Item, MediaQueue, QueueConfig
from service.ingest.source import Picture, Sound
from tests.service.ingest.items import make_picture, make_sound

CONFIG = QueueConfig(max_pictures=2, max_items=4)
BEGIN = Begin(True, True, 0.0)


def test_items_come_out_as_they_came_in() -> None:
    queue = MediaQueue(CONFIG)
    items: list[Item] = [BEGIN, make_picture(1.0), make_sound(1.0), Gone()]

    assert [queue.push(item) for item in items] == [None] * 4
    assert len(queue) == 4
    assert queue.take() == items
    assert queue.take() == []
    assert len(queue) == 0


def test_the_oldest_picture_goes_when_there_are_too_many() -> None:
    queue = MediaQueue(CONFIG)
    sound = make_sound(0.0)
    first, second, third = (make_picture(float(n)) for n in range(3))
    for item in (sound, first, second):
        queue.push(item)

    assert queue.push(third) is first
    assert queue.take() == [sound, second, third]


def test_pictures_go_before_any_sound() -> None:
    queue = MediaQueue(CONFIG)
    sounds = [make_sound(float(n)) for n in range(5)]
    picture = make_picture(0.5)
    for item in (sounds[0], picture, *sounds[1:3]):
        queue.push(item)

    assert queue.push(sounds[3]) is picture
    assert queue.push(sounds[4]) is sounds[0]
    assert queue.take() == sounds[1:]


def test_room_made_by_taking_is_used() -> None:
    queue = MediaQueue(CONFIG)
    for _ in range(3):
        for n in range(4):
            assert queue.push(make_sound(float(n))) is None
        queue.take()


def test_the_first_media_is_known_without_taking_it() -> None:
    queue = MediaQueue(CONFIG)
    assert queue.first_media_s is None

    queue.push(BEGIN)
    assert queue.first_media_s is None

    queue.push(make_sound(7.0))
    queue.push(make_picture(6.0))
    assert queue.first_media_s == 7.0
    assert len(queue) == 3


@given(st.lists(st.sampled_from(["picture", "sound", "marker"]), max_size=60))
def test_bounds_hold_and_markers_are_never_lost(kinds: list[str]) -> None:
    queue = MediaQueue(CONFIG)
    make = {"picture": make_picture, "sound": make_sound, "marker": lambda _: Gone()}

    lost = [queue.push(make[kind](float(n))) for n, kind in enumerate(kinds)]

    left = queue.take()
    assert sum(isinstance(item, Gone) for item in left) == kinds.count("marker")
    assert sum(isinstance(item, Picture) for item in left) <= CONFIG.max_pictures
    assert sum(isinstance(item, Picture | Sound) for item in left) <= CONFIG.max_items
    assert len(left) + sum(item is not None for item in lost) == len(kinds)


def test_room_is_told_before_anything_is_lost() -> None:
    queue = MediaQueue(CONFIG)
    assert (queue.is_full, queue.span_s) == (False, 0.0)

    queue.push(BEGIN)
    queue.push(make_picture(1.0))
    queue.push(make_sound(3.5))
    assert (queue.is_full, queue.span_s) == (False, 2.5)

    queue.push(make_picture(4.0))
    assert queue.is_full
