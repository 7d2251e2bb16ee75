"""Which media sources may be opened for a client, as the operator allows them; none by default."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import SplitResult, unquote, urlsplit

from service.egress import AllowList, Resolve, Target, check_url, resolve_host
from service.errors import UrlRefused
from service.source_errors import SourceDenied

SCHEMES: Final = ("rtsp", "rtsps", "http", "https")
HOSTS_SETTING: Final = "OMNISIFT_SOURCES__HOSTS"
SCHEMES_SETTING: Final = "OMNISIFT_SOURCES__SCHEMES"
ROOTS_SETTING: Final = "OMNISIFT_SOURCES__FILE_ROOTS"


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """What the operator allows.

    Attributes:
        hosts: Hosts that media may come from.
        schemes: Ways to fetch it.
        file_roots: Folders whose files may be played; of the machine that ingests.
    """

    hosts: AllowList = field(default_factory=lambda: AllowList((), ()))
    schemes: Sequence[str] = SCHEMES
    file_roots: Sequence[Path] = ()

    def check(self, url: str, resolve: Resolve = resolve_host) -> Target:
        """Where to connect for a URL, password and all. Blocks while a name is resolved.

        Raises:
            UrlRefused: It may not be opened; the message names the setting that would allow it.
        """
        if not (self.hosts.names or self.hosts.networks):
            raise UrlRefused(f"no host is allowed; the operator lists hosts in {HOSTS_SETTING}")
        scheme = url.partition(":")[0]
        if scheme in SCHEMES and scheme not in self.schemes:
            raise UrlRefused(f"{scheme} is not among the schemes allowed ({SCHEMES_SETTING})")
        return check_url(
            url,
            self.hosts,
            resolve,
            schemes=self.schemes,
            allows_credentials=True,
            setting=HOSTS_SETTING,
        )

    def open_file(self, url: str) -> BinaryIO:
        """Open a `file:` URL's file. Blocks.

        Raises:
            UrlRefused: It is under none of the roots, wherever its links lead.
            SourceDenied: There is no such file, or it cannot be read.
        """
        path = self._path(url)
        try:
            # non-blocking: a named pipe would wait for its writer
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise SourceDenied(error.strerror or "the file cannot be read") from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise SourceDenied("it is not a regular file")
        return file

    def _path(self, url: str) -> Path:
        if not self.file_roots:
            raise UrlRefused(f"no file is allowed; the operator lists folders in {ROOTS_SETTING}")
        parts = urlsplit(url)
        text = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not text.startswith("/") or "\0" in text:
            raise UrlRefused("write a file as file:///absolute/path")
        path = Path(text).resolve()
        if not any(path.is_relative_to(root.resolve()) for root in self.file_roots):
            raise UrlRefused(f"the file is under none of the folders allowed ({ROOTS_SETTING})")
        return path


def shown_url(url: str) -> str:
    """A URL without user, password, query and fragment: what may be logged and told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return SplitResult(parts.scheme, host, parts.path, "", "").geturl()


__all__ = ["SCHEMES", "SourcePolicy", "shown_url"]
