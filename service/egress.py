"""Which URLs given by clients the service may open: the rules against request forgery. Pure.

A client that may name a URL (a media source, a webhook) could name one that only this machine
reaches: a database on loopback, a cloud's metadata. So a URL is opened only where the operator's
allow-list names its host, after the host's addresses are known, and at those addresses: a name
that is resolved twice can lead elsewhere the second time.

Knows nothing of sockets; `resolve_host` is the one function here that does I/O, and blocks.
"""

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import SplitResult, urlsplit

from service.errors import UrlRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Addresses of a host and port; raises `OSError` where it has none."""

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
MAX_URL_CHARACTERS: Final = 2048
MAX_HOST_CHARACTERS: Final = 253
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
NUMERIC_LABEL: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)  # WHATWG URL, "ends in a number"
PRINTABLE_ASCII: Final = re.compile(r"[!-~]+", re.ASCII)
# no allow-list opens these: "this network", link-local (the clouds' metadata among it), the
# metadata that two clouds keep elsewhere, multicast and broadcast
NEVER: Final = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "100.100.100.200/32",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",
        "ff00::/8",
    )
)
NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be opened, and where.

    Attributes:
        url: As given.
        scheme: In lower case.
        host: Name or address without brackets; what TLS and the `Host` header need.
        port: Given, or the scheme's own.
        addresses: All that the host has. Connect to one of these, and do not resolve again.
    """

    url: str
    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be reached, as the operator wrote it.

    Each entry is a host name, `*.` and a domain (its subdomains), `*` (every public host), an
    address or a network, each with an optional `:port`. Names reach public addresses only; an
    address that is private or loopback must be listed as such.
    """

    names: tuple[tuple[str, int | None], ...]
    networks: tuple[tuple[Network, int | None], ...]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "AllowList":
        """Read the entries.

        Raises:
            ValueError: An entry is none of these; the message names it.
        """
        names: list[tuple[str, int | None]] = []
        networks: list[tuple[Network, int | None]] = []
        for entry in entries:
            host, port = _split_port(entry)
            try:
                networks.append((ip_network(host), port))
            except ValueError:
                names.append((_listed_name(host, entry), port))
        return cls(tuple(names), tuple(networks))

    def has_name(self, host: str, port: int) -> bool:
        """Whether an entry names the host."""
        return any(
            (entry in ("*", host) or (entry.startswith("*.") and host.endswith(entry[1:])))
            and listed_port in (None, port)
            for entry, listed_port in self.names
        )

    def has_address(self, address: Address, port: int) -> bool:
        """Whether an entry is the address, or a network around it."""
        return any(
            address in network and listed_port in (None, port)
            for network, listed_port in self.networks
        )


def check_url(
    url: str,
    allow_list: AllowList,
    resolve: Resolve,
    *,
    schemes: Sequence[str] = ("https", "http"),
    allows_credentials: bool = False,
    setting: str | None = None,
) -> Target:
    """Decide whether the service may open a URL that a client gave.

    Args:
        url: Absolute. Written plainly: no spaces, no backslashes, ASCII only, and no number in
            place of an address but the usual dotted form.
        allow_list: What may be reached; an empty one refuses everything.
        resolve: Finds the host's addresses; `resolve_host`, which blocks.
        schemes: Those that the caller speaks.
        allows_credentials: Whether `user:password@` may be part of it (cameras).
        setting: Where the operator writes the allow-list, for the message.

    Returns:
        Where to connect. The caller connects to one of `addresses`, and follows no redirect, or
        checks the new URL as this one.

    Raises:
        UrlRefused: It may not be opened. The message never holds a user, password or path.
    """
    parts = _parse(url, schemes, allows_credentials=allows_credentials)
    host, port = _host(parts), _port(parts)
    addresses = _addresses(host, port, resolve)
    for address in addresses:
        _check_address(host, port, address, allow_list, setting)
    is_listed = all(allow_list.has_address(_plain(address), port) for address in addresses)
    if not (is_listed or allow_list.has_name(host, port)):
        where = f" ({setting})" if setting else ""
        raise UrlRefused(f"the host is not on the allow-list{where}", host=host)
    return Target(url, parts.scheme, host, port, tuple(str(address) for address in addresses))


def resolve_host(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver. Blocks: call it, and `check_url` with it, on a thread."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _parse(url: str, schemes: Sequence[str], *, allows_credentials: bool) -> SplitResult:
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlRefused(f"it is longer than {MAX_URL_CHARACTERS} characters")
    # urlsplit would drop tabs and line breaks, and other parsers take a backslash for a slash
    if not PRINTABLE_ASCII.fullmatch(url) or "\\" in url:
        raise UrlRefused("it has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise UrlRefused("it is not a URL") from exc
    if parts.scheme not in schemes:
        raise UrlRefused(f"its scheme must be one of {', '.join(schemes)}")
    if "@" in parts.netloc and not allows_credentials:
        raise UrlRefused("it has a user or password in it")
    return parts


def _host(parts: SplitResult) -> str:
    try:
        host = (parts.hostname or "").rstrip(".")
    except ValueError as exc:
        raise UrlRefused("it has no valid host") from exc
    if _literal(host) is not None:
        return host
    if NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        # 2130706433, 0x7f.1 and 0177.0.0.1 are all 127.0.0.1 to the C library
        raise UrlRefused("write an address as four decimal numbers", host=host)
    if not _is_name(host):
        raise UrlRefused("it has no valid host")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError as exc:
        raise UrlRefused("its port is not a number from 1 to 65535") from exc
    if port is None:
        raise UrlRefused("it must name a port")
    return port


def _addresses(host: str, port: int, resolve: Resolve) -> Sequence[Address]:
    literal = _literal(host)
    if literal is not None:
        return [literal]
    try:
        addresses = [ip_address(text) for text in resolve(host, port)]
    except (OSError, ValueError) as exc:
        raise UrlRefused("the host cannot be found", host=host) from exc
    if not addresses:
        raise UrlRefused("the host has no address", host=host)
    return addresses


def _literal(host: str) -> Address | None:
    if "%" in host:
        raise UrlRefused("an address with a zone is of this machine only", host=host)
    try:
        return ip_address(host)
    except ValueError:
        return None


def _check_address(
    host: str, port: int, address: Address, allow_list: AllowList, setting: str | None
) -> None:
    for embedded in _embedded(address):
        if any(embedded in network for network in NEVER):
            raise UrlRefused("the host is at an address that is never reached", host=host)
        if not embedded.is_global and not allow_list.has_address(embedded, port):
            where = f" ({setting})" if setting else ""
            raise UrlRefused(
                f"the host is at a private address that is not listed{where}", host=host
            )


def _plain(address: Address) -> Address:
    """The address, out of its IPv4-mapped form."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _embedded(address: Address) -> Sequence[Address]:
    """All addresses at which a packet for this one can arrive: itself, and those inside it."""
    plain = _plain(address)
    if isinstance(plain, IPv4Address):
        return [plain]
    inside = [plain.sixtofour, *(plain.teredo or ())]
    if plain in NAT64:
        inside.append(IPv4Address(int(plain) & 0xFFFF_FFFF))
    return [plain, *(found for found in inside if found is not None)]


def _split_port(entry: str) -> tuple[str, int | None]:
    entry = entry.strip().lower()
    if entry.startswith("["):
        host, bracket, rest = entry[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{entry!r} is not an address in brackets")
        rest = rest[1:]
    elif entry.count(":") == 1:
        host, _, rest = entry.partition(":")
    else:
        return entry, None
    if rest and not (rest.isascii() and rest.isdigit() and 0 < int(rest) < 65_536):
        raise ValueError(f"{entry!r} has no valid port")
    return host, int(rest) if rest else None


def _listed_name(host: str, entry: str) -> str:
    name = host.removeprefix("*.")
    if host != "*" and (not _is_name(name) or NUMERIC_LABEL.fullmatch(name)):
        raise ValueError(f"{entry!r} is neither a host, *.domain, an address nor a network")
    return host


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= MAX_HOST_CHARACTERS and all(LABEL.fullmatch(label) for label in labels)


__all__ = ["AllowList", "Resolve", "Target", "check_url", "resolve_host"]
