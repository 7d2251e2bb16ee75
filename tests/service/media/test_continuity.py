import pytest

from service.media.continuity import Continuity


def test_times_in_order_stay_as_they_are() -> None:
    continuity = Continuity()

    placed = [continuity.place(pts_s) for pts_s in (0.0, 0.1, 0.02, 30.0, 29.0)]

    assert placed == [0.0, 0.1, 0.02, 30.0, 29.0]
    assert continuity.num_jumps == 0


@pytest.mark.parametrize("jump_s", [-20.0, 3600.0, 1e9])
def test_a_jump_moves_all_that_follows(jump_s: float) -> None:
    continuity = Continuity()
    continuity.place(20.0)

    placed = [continuity.place(20.0 + jump_s + step_s) for step_s in (0.0, 0.5, 1.0)]

    assert placed == pytest.approx([20.0, 20.5, 21.0])
    assert continuity.num_jumps == 1


def test_it_may_begin_anywhere() -> None:
    continuity = Continuity(begins_s=None)

    assert [continuity.place(pts_s) for pts_s in (3600.0, 3601.0, 9000.0)] == [
        3600.0,
        3601.0,
        3601.0,
    ]
