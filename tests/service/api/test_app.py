import httpx

from service.api.app import ApiConfig, create_app
from tests.local import LocalBackend, served
from tests.service.api.keys import KEYRING


async def test_page_and_its_files_are_served(http: httpx.AsyncClient) -> None:
    page = await http.get("/")

    assert page.headers["Content-Type"].startswith("text/html")
    assert "OmniSIFT Live" in page.text
    assert (await http.get("/web/app.js")).status_code == 200
    assert (await http.get("/web/nowhere.js")).status_code == 404


async def test_openapi_lists_every_route(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]

    assert {
        "/v1/sessions",
        "/v1/sessions/{session_id}",
        "/v1/sessions/{session_id}/events",
        "/v1/sessions/{session_id}/timeline",
        "/v1/sessions/{session_id}/turns",
        "/v1/sessions/{session_id}/query",
        "/v1/sessions/{session_id}/whip",
        "/v1/sessions/{session_id}/whip/{resource_id}",
        "/whip",
        "/v1/chat/completions",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(paths)


async def test_every_route_is_documented(http: httpx.AsyncClient) -> None:
    from tests.test_docs import API

    for path, methods in (await http.get("/openapi.json")).json()["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in API


async def test_origins_on_the_list_may_call(backend: LocalBackend) -> None:
    app = create_app(backend, ApiConfig(cors_origins=["https://console.test"]))
    async with served(app) as url, httpx.AsyncClient(base_url=url) as http:
        listed = await http.get("/v1/sessions", headers={"Origin": "https://console.test"})
        other = await http.get("/v1/sessions", headers={"Origin": "https://evil.test"})

    assert listed.headers["Access-Control-Allow-Origin"] == "https://console.test"
    assert "Location" in listed.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_no_origin_may_call_by_default(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/sessions", headers={"Origin": "https://console.test"})

    assert "Access-Control-Allow-Origin" not in response.headers


async def test_preflights_pass_without_a_key_for_origins_on_the_list_only(
    light_backend: LocalBackend,
) -> None:
    config = ApiConfig(cors_origins=["https://console.test"], keyring=KEYRING)
    app = create_app(light_backend, config)
    operations = [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    async with served(app) as url, httpx.AsyncClient(base_url=url) as http:
        for method, path in operations:
            asks = {
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type",
            }
            listed = await http.options(path, headers={"Origin": "https://console.test", **asks})
            other = await http.options(path, headers={"Origin": "https://evil.test", **asks})
            assert listed.status_code == 200, (method, path)
            assert listed.headers["Access-Control-Allow-Origin"] == "https://console.test"
            assert "authorization" in listed.headers["Access-Control-Allow-Headers"].lower()
            assert method in listed.headers["Access-Control-Allow-Methods"]
            assert "Access-Control-Allow-Origin" not in other.headers
            # no cookie goes along, so that a page elsewhere has nothing but the key it was given
            assert "Access-Control-Allow-Credentials" not in listed.headers
        refused = await http.get("/v1/sessions", headers={"Origin": "https://console.test"})

    assert refused.status_code == 401  # and its reader may know why, and when to come back
    assert refused.headers["Access-Control-Allow-Origin"] == "https://console.test"
    exposed = refused.headers["Access-Control-Expose-Headers"]
    for header in ("Location", "ETag", "Link", "Retry-After", "WWW-Authenticate", "X-Session-Id"):
        assert header in exposed
