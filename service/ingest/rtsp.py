"""RTSP sources: FFmpeg speaks the protocol, over a relay that decides where its bytes go.

FFmpeg resolves names by itself, follows redirects to wherever they lead, and does not check a
camera's certificate. So it is given a port on loopback instead, behind which one connection leads
to the address that was checked, by TLS for `rtsps`, and ends at the first redirect. Media comes
interleaved on that connection (RFC 2326, section 10.12), never by UDP.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from service.egress import Target
from service.source_errors import SourceDenied, SourceUnreachable
from service.tasks import TaskSet

SCHEMES: Final = ("rtsp", "rtsps")
FORMATS: Final = "rtsp"
PROTOCOLS: Final = "rtsp,rtp,tcp"
OPTIONS: Final = {"rtsp_transport": "tcp", "analyzeduration": "1000000"}  # 1 s
BLOCK_BYTES: Final = 64 << 10
ADVICE: Final = "check its address and port, and that it is on"
# FFmpeg reads a status line as loosely as this, and ignores carriage returns
REDIRECT: Final = re.compile(rb"(?:^|\n)RTSP/[^\n]*?[ \t]\+?0*3\d\d(?!\d)")
MAX_LINE_BYTES: Final = 4096


class RedirectGuard:
    """Finds the redirect in what a server sends. Pure."""

    def __init__(self) -> None:
        self._tail = b"\n"

    def sees(self, data: bytes) -> bool:
        """Whether there is one in what came so far."""
        text = self._tail + data.replace(b"\r", b"")
        line = text[text.rfind(b"\n") :] if b"\n" in text else text
        self._tail = line[:MAX_LINE_BYTES]
        return REDIRECT.search(text) is not None


class Relay:
    """One connection to a checked address, reached by one connection to `url`.

    Attributes:
        url: What FFmpeg opens, in place of the source's; has its user and password.
    """

    def __init__(
        self, url: str, upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.url = url
        self._reader, self._writer = upstream
        self._guard = RedirectGuard()
        self._is_taken = False
        self._has_redirect = False
        self._tasks = TaskSet()
        self._client: asyncio.StreamWriter | None = None

    @property
    def has_redirect(self) -> bool:
        """The server redirected, and was cut off."""
        return self._has_redirect

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take FFmpeg's connection, and no other."""
        if self._is_taken:
            writer.close()
            return
        self._is_taken = True
        self._client = writer
        self._tasks.spawn(self._copy(reader, self._writer), name="to the camera")
        self._tasks.spawn(self._copy(self._reader, writer, self._guard), name="from the camera")

    async def aclose(self) -> None:
        await self._tasks.aclose()
        for writer in (self._writer, self._client):
            if writer is not None:
                writer.close()
                with suppress(OSError, ssl.SSLError):
                    await writer.wait_closed()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        guard: RedirectGuard | None = None,
    ) -> None:
        with suppress(OSError, ssl.SSLError):
            while data := await reader.read(BLOCK_BYTES):
                if guard is not None and guard.sees(data):
                    self._has_redirect = True
                    break
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relayed(
    target: Target, *, connect_s: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Relay]:
    """A relay to a target.

    Args:
        target: Of scheme `rtsp` or `rtsps`, checked.
        connect_s: Longest time to connect.
        tls: What `rtsps` trusts; None: what the system does.

    Raises:
        SourceUnreachable: It does not take the connection.
        SourceDenied: Its certificate is not trusted.
    """
    context = tls or ssl.create_default_context() if target.scheme == "rtsps" else None
    async with AsyncExitStack() as stack:
        upstream = await _connect(target, context, connect_s)
        stack.callback(upstream[1].close)
        relay = Relay("", upstream)
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        stack.push_async_callback(relay.aclose)
        relay.url = _local_url(target.url, server.sockets[0].getsockname()[1])
        yield relay


async def _connect(
    target: Target, tls: ssl.SSLContext | None, connect_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(connect_s):
            return await asyncio.open_connection(
                target.addresses[0],
                target.port,
                ssl=tls,
                server_hostname=target.host if tls else None,
            )
    except TimeoutError as error:
        raise SourceUnreachable(f"no answer in time; {ADVICE}") from error
    except ssl.SSLCertVerificationError as error:
        raise SourceDenied("its certificate is not trusted") from error
    except (OSError, ssl.SSLError) as error:
        # its own text may hold the address, which is not for the client
        reason = os.strerror(error.errno) if error.errno else "the connection failed"
        raise SourceUnreachable(f"{reason}; {ADVICE}") from error


def _local_url(url: str, port: int) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    local = SplitResult("rtsp", f"{user}{at}127.0.0.1:{port}", parts.path, parts.query, "")
    return local.geturl()


__all__ = ["FORMATS", "OPTIONS", "PROTOCOLS", "SCHEMES", "RedirectGuard", "Relay", "relayed"]
