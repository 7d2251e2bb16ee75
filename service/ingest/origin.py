"""Where a source's media lies, and how it is reached: one class per kind of URL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

from service.errors import ServiceError
from service.ingest import rtsp
from service.ingest.container import Container, ContainerLimits, open_container
from service.ingest.http_file import HttpFile
from service.ingest.source_policy import SourcePolicy, shown_url
from service.source_errors import SourceDenied, SourceUnreachable

Opener = Callable[[], Container]


class Origin(Protocol):
    """Something that can be opened, again and again where it is live."""

    @property
    def url(self) -> str | None:
        """What may be told of where it is; None for an upload."""
        ...

    @property
    def is_live(self) -> bool:
        """It goes on whether or not it is read, and has no end of its own."""
        ...

    def connected(self) -> AbstractAsyncContextManager[Opener]:
        """Within it the opener, called on a decoder's thread, gives the container.

        Raises:
            UrlRefused: It may not be opened.
            SourceDenied: It is there, and not given.
            SourceUnreachable: It cannot be reached; also where the connection is lost later.
        """
        ...

    def close(self) -> None:
        """Let go of it where it was never played."""
        ...


class FileOrigin(Origin):
    """A file that is open: an upload, or one under the operator's folders."""

    def __init__(self, container: Container, url: str | None) -> None:
        self._container: Container | None = container
        self._url = url

    @classmethod
    async def of(
        cls, file: BinaryIO, limits: ContainerLimits, url: str | None = None
    ) -> "FileOrigin":
        """Take a file; raises as `open_container`."""
        return cls(await asyncio.to_thread(open_container, file, limits), url)

    @property
    def url(self) -> str | None:
        return self._url

    @property
    def is_live(self) -> bool:
        return False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Opener]:
        yield self._take

    def close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _take(self) -> Container:
        """The container, which is the decoder's to close from now on."""
        container, self._container = self._container, None
        assert container is not None, "a media file is played once"
        return container


@dataclass(frozen=True)
class HttpOrigin(Origin):
    """A media file, or an endless stream, on a web server."""

    full_url: str
    policy: SourcePolicy
    limits: ContainerLimits
    is_live: bool = False

    @property
    def url(self) -> str:
        return shown_url(self.full_url)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Opener]:
        yield self._open

    def _open(self) -> Container:
        file = HttpFile(self.full_url, self.policy, timeout_s=self.limits.read_s)
        return open_container(file, self.limits)  # type: ignore[arg-type]  # raw, as PyAV needs it

    def close(self) -> None:
        pass  # nothing is open yet


@dataclass(frozen=True)
class RtspOrigin(Origin):
    """A camera."""

    full_url: str
    policy: SourcePolicy
    limits: ContainerLimits
    is_live: bool = True

    @property
    def url(self) -> str:
        return shown_url(self.full_url)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Opener]:
        target = await asyncio.to_thread(self.policy.check, self.full_url)
        async with rtsp.relayed(target, connect_s=self.limits.open_s) as relay:
            try:
                yield partial(
                    open_container,
                    relay.url,
                    self.limits,
                    formats=rtsp.FORMATS,
                    protocols=rtsp.PROTOCOLS,
                    options=rtsp.OPTIONS,
                )
            except SourceUnreachable as error:
                if relay.has_redirect:
                    raise SourceDenied("it redirects, which is not followed") from error
                raise

    def close(self) -> None:
        pass  # nothing is open yet


class LostOrigin(Origin):
    """What was there and cannot be opened now; `error` says why."""

    def __init__(self, url: str | None, error: ServiceError) -> None:
        self._url = url
        self._error = error

    @property
    def url(self) -> str | None:
        return self._url

    @property
    def is_live(self) -> bool:
        return False

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Opener]:
        raise self._error
        yield  # a generator needs one

    def close(self) -> None:
        pass  # nothing is open


async def find_origin(url: str, policy: SourcePolicy, limits: ContainerLimits) -> Origin:
    """What a client's URL leads to, once it has been checked.

    Raises:
        UrlRefused: It may not be opened.
        SourceDenied: It is a file that cannot be opened.
        MediaUnreadable: It is a file without media.
    """
    if url.lower().startswith("file:"):
        file = await asyncio.to_thread(policy.open_file, url)
        return await FileOrigin.of(file, limits, shown_url(url))
    target = await asyncio.to_thread(policy.check, url)
    kind = RtspOrigin if target.scheme in rtsp.SCHEMES else HttpOrigin
    return kind(url, policy, limits)


async def reopen_origin(url: str | None, policy: SourcePolicy, limits: ContainerLimits) -> Origin:
    """The origin of a source that was begun elsewhere; what is wrong with it, it says when played.

    Args:
        url: As it was given; None for an upload.
        policy: What may be opened.
        limits: What is decoded.
    """
    if url is None:
        return LostOrigin(
            None, SourceDenied("the media file is lost with its replica; send it again")
        )
    if not url.lower().startswith("file:"):
        # checked as it is connected, again and again: a name that does not resolve now may later
        kind = RtspOrigin if url.partition(":")[0].lower() in rtsp.SCHEMES else HttpOrigin
        return kind(url, policy, limits)
    try:
        return await find_origin(url, policy, limits)
    except ServiceError as error:
        return LostOrigin(shown_url(url), error)


__all__ = [
    "FileOrigin",
    "HttpOrigin",
    "LostOrigin",
    "Opener",
    "Origin",
    "RtspOrigin",
    "find_origin",
    "reopen_origin",
]
