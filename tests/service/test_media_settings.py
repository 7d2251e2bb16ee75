import pytest
from pydantic import ValidationError

from service.media_settings import SourcesSettings


def test_nothing_may_be_fetched_by_default() -> None:
    settings = SourcesSettings()

    assert (settings.hosts, settings.file_roots) == ([], [])


@pytest.mark.parametrize(
    "fields", [{"hosts": ["http://camera/"]}, {"schemes": ["ftp"]}, {"max_uploads": 0}]
)
def test_what_cannot_be_is_refused_at_the_start(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SourcesSettings.model_validate(fields)
