from service.api.backend import Backend
from tests.local import LocalBackend


async def test_one_process_satisfies_the_protocol(backend: LocalBackend) -> None:
    checked: Backend = backend

    assert dict(await checked.checks()) == {"Redis": "ok"}
    assert b"omnisift_chunks_total" in await checked.exposition()
