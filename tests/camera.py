"""A camera on loopback: GStreamer's RTSP server in a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"  # Debian's, which has the bindings
SERVER = Path(__file__).with_name("rtsp_server.py")
START_S = 20.0


@asynccontextmanager
async def camera(port: int, *login: str) -> AsyncIterator[str]:
    """Yields the URL of a live stream, VP8 and Opus; `login` is a user and a password for it.

    Leaving the context kills the server, as a power cut would.
    """
    process = await asyncio.create_subprocess_exec(
        PYTHON, str(SERVER), str(port), *login, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        assert line == b"ready\n", "see .ci/system-packages for what the server needs"
        yield f"rtsp://127.0.0.1:{port}/live"
    finally:
        process.kill()
        await process.wait()
