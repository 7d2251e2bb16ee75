import re
from pathlib import Path

import pytest

from clients.cli import exits
from clients.cli.exits import MEANINGS, exit_for
from clients.sdk import errors


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (errors.BadRequest("m", code="bad_request"), 2, ""),
        (errors.ConnectionFailed("m"), 3, "make serve"),
        (errors.TimedOut("m"), 3, "Try again"),
        (errors.NotFound("m", code="session_not_found"), 4, "omnisift sessions"),
        (errors.Conflict("m", code="session_ended"), 5, "omnisift publish"),
        (errors.Conflict("m", code="already_publishing"), 5, "Leave --session out"),
        (errors.Conflict("m", code="no_media_yet"), 5, "--session ID"),
        (errors.Conflict("m", code="new_one"), 5, ""),
        (errors.Overloaded("m", code="at_capacity", retry_after_s=5), 6, "Try again in 5 s"),
        (errors.Unavailable("m", code="unavailable"), 6, "Try again later"),
        (errors.Unauthorized("m", code="unauthorized"), 7, "OMNISIFT_API_KEY"),
        (errors.SourceUnavailable("m"), 8, ""),
        (errors.MissingDependency("m"), 8, ""),
        (errors.MalformedAnswer("m"), 1, "version"),
        (errors.ServerFault("m", code="internal_error"), 1, ""),
    ],
)
def test_error_ends_with_its_code_and_hint(
    error: errors.OmniSiftError, code: int, hint: str
) -> None:
    end = exit_for(error)

    assert end.code == code
    assert hint in end.hint


def test_every_code_has_a_meaning() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and type(value) is int}

    assert codes == set(MEANINGS)


def test_codes_are_documented_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    table = text.partition("## Exit codes")[2]
    documented = re.findall(r"^\| (\d+) \| (.+) \|$", table, re.M)

    assert {int(code): meaning for code, meaning in documented} == MEANINGS
