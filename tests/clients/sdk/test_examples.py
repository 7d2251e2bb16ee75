"""The examples in the SDK's docstrings are run against the fake service."""

import asyncio
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import clients.sdk
from clients.sdk import AsyncClient, Client
from clients.sdk.media import open_synthetic
from clients.sdk.publish import publish
from tests.clients.fake_service import FakeService, Feed, RunningService, running

SERVICE = "http://127.0.0.1:8000"


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = pkgutil.walk_packages(clients.sdk.__path__, "clients.sdk.")
    return [
        found
        for module in modules
        for found in finder.find(importlib.import_module(module.name), module.name)
        if found.examples
    ]


@dataclass
class BusyService(FakeService):
    """Something publishes into every session at once."""

    def create(self, **options: Any) -> Feed:
        feed = super().create(**options)
        self.add_chunk(feed)
        return feed


@pytest.fixture
def busy() -> Iterator[RunningService]:
    with running(BusyService(words=("a", " red", " circle"))) as service:
        yield service


@pytest.mark.webrtc
@pytest.mark.parametrize("example", examples(), ids=lambda found: found.name)
def test_example_does_what_it_says(
    example: doctest.DocTest, busy: RunningService, tmp_path: Path
) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for step in example.examples:
        step.source = step.source.replace(SERVICE, busy.url)
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a picture")
    with Client(busy.url) as client:
        example.globs = {
            "AsyncClient": AsyncClient,
            "Client": Client,
            "asyncio": asyncio,
            "client": client,
            "open_synthetic": open_synthetic,
            "photo": photo,
            "publish": publish,
            "session": client.create_session(),
        }
        runner.run(example, out=said.append)

    assert runner.failures == 0, "".join(said)


def test_both_clients_and_publishing_have_examples() -> None:
    names = {found.name.rpartition(".")[2] for found in examples()}

    assert {"Client", "AsyncClient", "publish"} <= names
