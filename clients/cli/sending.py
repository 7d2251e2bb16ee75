"""`omnisift publish`: which way media takes, by the options. Knows nothing about output."""

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.console import Console
from clients.cli.folder import watch_folder
from clients.cli.play import play
from clients.cli.publish import Order, Send, run_publish
from clients.sdk import (
    AsyncClient,
    BadRequest,
    MissingDependency,
    OmniSiftError,
    SourceUnavailable,
)
from clients.sdk.errors import is_passing
from clients.sdk.media_file import open_media_file
from clients.sdk.publish import OnProgress, Progress, publish

if TYPE_CHECKING:
    from clients.sdk.media import Source

# a service that was away is tried again with the same file
RETRY_S = 5.0
POLL_S = 1.0  # a file that has not changed for so long is complete
_CAMERA_HINT = (
    "See --camera DEVICE, --microphone DEVICE, --no-microphone; 'omnisift doctor' lists cameras"
)


def run_sending(options: argparse.Namespace, console: Console) -> None:
    if options.watch is not None:
        asyncio.run(_watch(options, console))
        return
    # opened first: a wrong file should not leave an empty session behind
    if options.fast:
        with open_media_file(options.file):
            asyncio.run(_send(options, console, _fast(Path(options.file))))
        return
    with _open_source(options) as source:
        asyncio.run(_send(options, console, _realtime(source, options.duration)))


async def _send(options: argparse.Namespace, console: Console, send: Send) -> None:
    _let_terminate()
    async with AsyncClient(options.url, api_key=options.api_key) as client:
        await run_publish(client, console, send, _order(options), is_json=options.json)


async def _watch(options: argparse.Namespace, console: Console) -> None:
    _let_terminate()
    async with AsyncClient(options.url, api_key=options.api_key) as client:

        async def take(path: Path) -> None:
            console.note(f"{path}")
            while True:
                if await _take(client, options, console, path):
                    return
                await asyncio.sleep(RETRY_S)

        num_files = await watch_folder(
            Path(options.watch),
            take,
            has_existing=options.existing,
            idle_s=options.idle,
            poll_s=POLL_S,
        )
    console.note(f"{num_files} files; none came for {options.idle:g} s")


async def _take(
    client: AsyncClient, options: argparse.Namespace, console: Console, path: Path
) -> bool:
    """Send one file; False: try it again."""
    try:
        if options.fast:
            await run_publish(client, console, _fast(path), _order(options), is_json=options.json)
            return True
        with _open_file(path, loop=False) as source:
            send = _realtime(source, options.duration)
            await run_publish(client, console, send, _order(options), is_json=options.json)
    except (SourceUnavailable, BadRequest) as exc:
        console.note(f"left out: {exc}")
    except OmniSiftError as exc:
        if not is_passing(exc):
            raise
        console.note(f"{exc}; trying {path.name} again in {RETRY_S:g} s")
        return False
    return True


def _order(options: argparse.Namespace) -> Order:
    return Order(options.session, options.profile, options.end)


def _realtime(source: "Source", duration_s: float | None) -> Send:
    async def send(client: AsyncClient, session_id: str, on_progress: OnProgress) -> Progress:
        return await publish(
            client, session_id, source, duration_s=duration_s, on_progress=on_progress
        )

    return send


def _fast(path: Path) -> Send:
    async def send(client: AsyncClient, session_id: str, on_progress: OnProgress) -> Progress:
        return await play(client, session_id, path, on_progress)

    return send


def _let_terminate() -> None:
    # as asyncio does for Ctrl-C: publishing then says goodbye to the service
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _open_source(options: argparse.Namespace) -> "Source":
    if options.file is not None:
        return _open_file(Path(options.file), loop=options.loop)
    try:
        from clients.sdk import media
        from clients.sdk.media.camera import Devices
    except ImportError as exc:
        raise _missing(exc) from exc
    if options.synthetic:
        return media.open_synthetic()
    microphone = None if options.no_microphone else options.microphone
    try:
        return media.open_camera(Devices(options.camera, microphone))
    except SourceUnavailable as exc:
        raise SourceUnavailable(f"{exc}. {_CAMERA_HINT}") from exc


def _open_file(path: Path, *, loop: bool) -> "Source":
    try:
        from clients.sdk import media
    except ImportError as exc:
        raise _missing(exc) from exc
    return media.open_file(path, loop=loop)


def _missing(exc: ImportError) -> MissingDependency:
    return MissingDependency(
        f"publishing needs {exc.name}, which is not installed: pip install aiortc av numpy"
    )


__all__ = ["run_sending"]
