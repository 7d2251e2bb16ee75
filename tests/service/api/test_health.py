import httpx
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from service.api.health import health_routes
from tests.local import LocalBackend
from tests.service.api.conftest import Streamer


async def test_process_answers(http: httpx.AsyncClient) -> None:
    response = await http.get("/healthz")

    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_ready_names_every_part(http: httpx.AsyncClient) -> None:
    response = await http.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"Redis": "ok"}}


async def test_part_that_fails_makes_it_unready(backend: LocalBackend) -> None:
    class Broken:
        async def checks(self) -> dict[str, str]:
            return {"Redis": "ok", "LLM": "no replica"}

    app = FastAPI()
    app.include_router(health_routes(Broken()))  # type: ignore[arg-type]  # checks is all it needs
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        response = await http.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["LLM"] == "no replica"


async def test_full_service_is_ready_for_its_sessions_and_not_for_new_ones() -> None:
    class Full:
        async def checks(self) -> dict[str, str]:
            return {"Redis": "ok"}

        async def shortage(self) -> str:
            return "llm_busy"

    app = FastAPI()
    app.include_router(health_routes(Full()))  # type: ignore[arg-type]  # all that it needs
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        for_all = await http.get("/readyz")
        for_new = await http.get("/readyz?new_sessions=true")

    assert for_all.status_code == 200
    assert for_new.status_code == 503
    assert for_new.json()["checks"] == {"Redis": "ok", "sessions": "full: llm_busy"}


async def test_service_with_room_is_ready_for_new_sessions(http: httpx.AsyncClient) -> None:
    response = await http.get("/readyz?new_sessions=true")

    assert response.status_code == 200
    assert response.json()["checks"]["sessions"] == "ok"


async def test_metrics_count_what_happened(http: httpx.AsyncClient, streamer: Streamer) -> None:
    session_id = await streamer.session(seconds=4)
    await http.post(f"/v1/sessions/{session_id}/query", json={"question": "?", "max_tokens": 3})

    response = await http.get("/metrics")

    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["omnisift_chunks_total", "Local", "local"] == 2
    assert samples["omnisift_tokens_total", "Local", "audio", "in", "local"] == 100
    assert samples["omnisift_tokens_total", "Local", "audio", "kept", "local"] == 50
    assert samples["omnisift_query_ttft_seconds_count", "Local", "local"] == 1
    assert samples["omnisift_kv_pages", "Local", "local", "used"] > 0
