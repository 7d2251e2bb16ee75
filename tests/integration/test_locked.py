"""The whole service with keys on, Ray's proxy included: nothing but health answers without one."""

import json
from pathlib import Path

import httpx
import pytest

from tests.service.api.keys import KEYRING, KEYS, bearer
from tests.service.api.test_gate import FILES, HEALTH, ODD, OTHERS, operations
from tests.serving import serving_at

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis]

# Ray's own, answered before any request reaches the service: see SECURITY.md
OF_THE_PROXY = {"/-/healthz": "success", "/-/routes": '{"/":"omnisift"}'}


async def test_nothing_but_health_answers_without_a_key(tmp_path: Path) -> None:
    keys, known = tmp_path / "keys.json", map(KEYRING.get, KEYS)
    keys.write_text(json.dumps({"keys": [key.entry() for key in known if key is not None]}))
    with serving_at(tmp_path / "log", OMNISIFT_AUTH__KEYS_FILE=str(keys)) as serving:
        serving.wait_ready()
        async with httpx.AsyncClient(base_url=serving.url, timeout=20.0) as http:
            found = await operations(http)
            assert len(found) > 15
            files = [("GET", path) for path in [*FILES, *OTHERS, *ODD]]
            for method, path in [*found, *files]:
                status = (await http.request(method, path)).status_code
                assert status == 200 if path in HEALTH else status in (401, 403), (method, path)
            for path, answer in OF_THE_PROXY.items():
                assert (await http.get(path)).text == answer
            assert (await http.get("/v1/sessions", headers=bearer("viewer"))).status_code == 200
