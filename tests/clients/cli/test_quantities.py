import argparse
from collections.abc import Callable

import pytest

from clients.cli.quantities import count, not_negative, positive


def test_numbers_are_read() -> None:
    assert (positive("0.5"), not_negative("0"), count("3")) == (0.5, 0.0, 3)


@pytest.mark.parametrize(
    ("read", "text"),
    [(positive, "0"), (positive, "inf"), (positive, "nan"), (not_negative, "-1"), (count, "0")],
)
def test_what_makes_no_sense_is_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)
