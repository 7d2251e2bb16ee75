import pytest

from service.errors import Unavailable
from service.ingest.seat import Seat


async def test_a_seat_that_is_taken_away_says_so() -> None:
    used = list[int]()
    seat = Seat(lambda: used.append(1))
    seat.use()

    await seat.aclose()

    await seat.wait_gone()
    with pytest.raises(Unavailable):
        seat.use()
    assert used == [1]
