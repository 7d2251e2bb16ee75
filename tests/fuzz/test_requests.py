"""A short run of `make fuzz`, in one process."""

from collections.abc import Iterator

import pytest
import torch
from anyio.from_thread import start_blocking_portal

from compressor.omni.tiny import write_tiny_checkpoint
from service.access.keyring import Keyring, generate
from service.api.app import ApiConfig, create_app
from tests.fuzz.requests import Findings, Fuzzer
from tests.local import local_backend, served

pytestmark = pytest.mark.redis

NUM_PER_OPERATION = 24


@pytest.fixture(scope="module")
def findings(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Findings]:
    torch.set_num_threads(1)
    checkpoint = write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "stand-in")
    key, kept = generate("root", ["admin"])
    config = ApiConfig(keyring=Keyring([kept]))
    with start_blocking_portal() as portal:
        local = local_backend(redis_server, checkpoint)
        with (
            portal.wrap_async_context_manager(local) as backend,
            portal.wrap_async_context_manager(served(create_app(backend, config))) as url,
        ):
            fuzzer = Fuzzer(url, key)
            yield fuzzer.run(NUM_PER_OPERATION)
            fuzzer.close()


def test_every_answer_is_as_documented(findings: Findings) -> None:
    shown = "\n\n".join(findings.failures.values())
    assert not shown, shown


def test_nothing_is_a_server_error(findings: Findings) -> None:
    assert findings.num_server_errors == 0
    assert findings.num_requests > 300
    assert findings.statuses[200] > 0
    assert findings.statuses[422] > 0
