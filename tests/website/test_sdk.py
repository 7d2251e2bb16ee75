from pkgutil import resolve_name

import pytest

from website.sdk import PARTS, page

NAMES = [name for names in PARTS.values() for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_listed_exists(name: str) -> None:
    assert resolve_name(name) is not None


@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_a_directive(name: str) -> None:
    assert f"\n::: {name}\n" in page()
