import json
import logging
from collections.abc import Iterator

import pytest

from service.logs import configure_logs


@pytest.fixture(autouse=True)
def restored_logger() -> Iterator[None]:
    logger = logging.getLogger("service")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


def test_record_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", deployment="LLM")
    logging.getLogger("service.llm").info(
        "appended %d tokens", 57, extra={"session_id": "s1", "chunk_index": 3}
    )

    record = json.loads(capsys.readouterr().err)

    assert record["message"] == "appended 57 tokens"
    assert (record["session_id"], record["chunk_index"]) == ("s1", 3)
    assert (record["level"], record["deployment"]) == ("INFO", "LLM")


def test_level_filters(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING")
    logging.getLogger("service.llm").info("quiet")

    assert capsys.readouterr().err == ""


def test_configuring_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO")
    configure_logs("INFO")
    logging.getLogger("service").info("once")

    assert len(capsys.readouterr().err.splitlines()) == 1
