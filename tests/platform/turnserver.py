"""Coturn, with the very arguments of Compose or Kubernetes."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.free_port import free_port
from tests.platform.kustomize import ROOT, named

SECRET = "a secret of the relay's and of the service's"
START_S = 20.0
STOP_S = 10.0


def arguments_of(where: str) -> list[str]:
    """Those in docker-compose.yml (`compose`) or in an overlay, with `SECRET` as the secret."""
    if where == "compose":
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        given, variable = services["coturn"]["command"], "${TURN_SECRET:?}"
    else:
        (container,) = named(where, "Deployment", "coturn")["spec"]["template"]["spec"][
            "containers"
        ]
        given, variable = container["args"], "$(TURN_SECRET)"
    return [argument.replace(variable, SECRET) for argument in given]


class TurnServer:
    """One that runs: where, and what it has said so far."""

    def __init__(self, port: int, said: list[str]) -> None:
        self.address = f"127.0.0.1:{port}"
        self._said = said

    @property
    def log(self) -> str:
        return "".join(self._said)


@asynccontextmanager
async def turn_server(arguments: Sequence[str], folder: Path) -> AsyncIterator[TurnServer]:
    """Run it on a free port; of its files none is outside `folder`."""
    beside = Path(sys.executable).parent
    program = shutil.which("turnserver") or shutil.which("turnserver", path=beside)
    assert program is not None, "turnserver is not installed: make system"
    port = free_port()
    own = [
        "--verbose",
        f"--listening-port={port}",
        f"--pidfile={folder}/pid",
        f"--userdb={folder}/db",
    ]
    # by lines: what it says must not wait in a buffer
    process = await asyncio.create_subprocess_exec(
        *("stdbuf", "-oL", program, *arguments, *own),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said: list[str] = []
    try:
        async with asyncio.timeout(START_S), asyncio.TaskGroup() as group:
            group.create_task(_listens(port))
            await _read(process, said, until="DB connection success")
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read(process, said))
            yield TurnServer(port, said)
            reading.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), STOP_S)


async def _read(
    process: asyncio.subprocess.Process, said: list[str], until: str | None = None
) -> None:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        said.append(line.decode(errors="replace"))
        if until is not None and until in said[-1]:
            return
    if until is not None:
        raise AssertionError("".join(said))


async def _listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
