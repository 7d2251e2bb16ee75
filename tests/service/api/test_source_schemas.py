import pytest
from pydantic import ValidationError

from service.api.source_schemas import CreateSource, Source
from service.ingest.pull import SourceView


def test_a_source_is_told_as_it_stands() -> None:
    view = SourceView("src_1", "rtsp://camera/1", "realtime", "failed", "401", 12.5)

    assert Source.of(view).model_dump() == {
        "id": "src_1",
        "object": "source",
        "url": "rtsp://camera/1",
        "speed": "realtime",
        "state": "failed",
        "reason": "401",
        "since_s": 12.5,
    }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "x", "speed": "slow"},
        {"url": "x", "pace": "fast"},
        {"url": "x" * 2049},
    ],
)
def test_what_fits_no_source_is_refused(body: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CreateSource.model_validate(body)
