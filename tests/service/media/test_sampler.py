import pytest

from service.media.sampler import FrameSampler, slot_of


@pytest.mark.parametrize(
    ("pts_s", "slot"),
    [(0.0, 0), (-1e-7, 0), (0.49, 0), (0.5, 1), (0.4999999, 1), (1.99, 3), (2, 4)],
)
def test_a_slot_is_half_a_second(pts_s: float, slot: int) -> None:
    assert slot_of(pts_s) == slot


@pytest.mark.parametrize("fps", [2, 5, 15, 24, 30, 60])
def test_two_pictures_a_second_are_taken_at_any_rate(fps: int) -> None:
    sampler = FrameSampler()

    taken = [n / fps for n in range(10 * fps) if sampler.admits(n / fps)]

    assert len(taken) == 20
    assert all(pts_s - slot / 2 < 1 / fps for slot, pts_s in enumerate(taken))


def test_slow_video_is_taken_whole() -> None:
    sampler = FrameSampler()

    assert all(sampler.admits(float(n)) for n in range(10))


def test_an_earlier_picture_of_the_slot_is_taken_too() -> None:
    sampler = FrameSampler()

    assert [sampler.admits(pts_s) for pts_s in (0.2, 0.3, 0.1, 0.1, 0.15)] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_memory_is_bounded() -> None:
    sampler = FrameSampler()

    for n in range(10_000):
        sampler.admits(n * 0.5)

    assert len(sampler._firsts) <= 64
