from collections.abc import Mapping

import httpx
import pytest

from service.access.caller import Scope
from service.api import uploads
from service.api.authority import needs
from tests.local import LocalBackend
from tests.service.api.conftest import created
from tests.service.api.keys import bearer


def test_the_apis_description_says_that_the_body_is_a_file() -> None:
    said = uploads.documented(needs(Scope.PUBLISH))

    assert said["requestBody"]["required"]
    assert "video/*" in said["requestBody"]["content"]
    assert said["security"] == [{"bearer": ["publish"]}]


@pytest.mark.parametrize("path", ["/v1/sessions/{id}/media", "/v1/replays"])
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, "unsupported_media_type"),
        ({"Content-Encoding": "gzip"}, "unsupported_encoding"),
        ({}, "media_unreadable"),
    ],
)
async def test_what_is_no_file_is_refused(
    guarded: httpx.AsyncClient,
    light_backend: LocalBackend,
    path: str,
    headers: Mapping[str, str],
    code: str,
) -> None:
    session_id = await created(guarded, "alice")
    call = "PUT" if "media" in path else "POST"

    reply = await guarded.request(
        call, path.format(id=session_id), headers={**bearer("alice"), **headers}
    )

    assert reply.json()["error"]["code"] == code
    assert light_backend.ingest.num_sessions == 0
