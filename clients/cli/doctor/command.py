"""`omnisift doctor`: everything that publishing and asking from here need, checked one by one."""

import argparse
import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clients.cli import exits
from clients.cli.console import Console
from clients.cli.doctor.finding import Finding, is_healthy, show, show_json
from clients.cli.doctor.machine import check_machine
from clients.cli.doctor.service import check_service
from clients.sdk import AsyncClient, Client

if TYPE_CHECKING:
    from clients.cli.arguments import AddParser


def add_doctor(add: "AddParser") -> None:
    """The options of the command."""
    parser = add(
        "doctor",
        help="check what publishing and asking from here need",
        description="Each line says ok, warn or fail, and what to do. The service's own side: "
        "python -m service doctor.",
    )
    parser.add_argument(
        "--no-publish", action="store_true", help="make no session to try a connection with"
    )
    parser.add_argument("--json", action="store_true")


def run_doctor(options: argparse.Namespace, console: Console) -> int:
    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if not options.json:
            show(console, finding)
    if options.json:
        show_json(console, findings)
    return exits.DONE if is_healthy(findings) else exits.UNHEALTHY


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    there = []
    with Client(options.url, api_key=options.api_key, timeout_s=10.0) as client:
        for finding in check_service(client, has_key=options.api_key is not None):
            there.append(finding)
            yield finding
    here = []
    for finding in check_machine():
        here.append(finding)
        yield finding
    if here[0].level == "fail" or not is_healthy(there):
        return  # without codecs there is no media, without a service nobody to send it to
    may_publish = not options.no_publish and _may_publish(there)
    yield from asyncio.run(_network(options, may_publish=may_publish))


def _may_publish(there: list[Finding]) -> bool:
    return any(finding.check == "key" and finding.level == "ok" for finding in there)


async def _network(options: argparse.Namespace, *, may_publish: bool) -> list[Finding]:
    # it needs aiortc, which `check_machine` has found by now
    from clients.cli.doctor.network import check_network

    async with AsyncClient(options.url, api_key=options.api_key) as client:
        return [finding async for finding in check_network(client, may_publish=may_publish)]


__all__ = ["add_doctor", "run_doctor"]
