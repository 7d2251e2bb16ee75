import socket
from collections.abc import Sequence

import pytest

from service.egress import AllowList, check_url, resolve_host
from service.errors import UrlRefused

PUBLIC = "93.184.216.34"
ANYWHERE = AllowList.parse(["*"])


def at(*addresses: str):  # type: ignore[no-untyped-def]
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def never(host: str, port: int) -> Sequence[str]:
    raise AssertionError("nothing should be resolved")


def test_listed_host_may_be_opened_at_the_addresses_that_were_checked() -> None:
    allow_list = AllowList.parse(["hooks.example.com"])

    target = check_url("https://hooks.example.com/x?y=1", allow_list, at(PUBLIC, "2606:2800::1"))

    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 443)
    assert target.addresses == (PUBLIC, "2606:2800::1")
    assert target.url == "https://hooks.example.com/x?y=1"


@pytest.mark.parametrize(
    ("entry", "url", "may"),
    [
        ("hooks.example.com", "https://HOOKS.Example.com./", True),
        ("hooks.example.com", "https://example.com/", False),
        ("hooks.example.com", "https://hooks.example.com.evil.test/", False),
        ("hooks.example.com", "https://evil-hooks.example.com/", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://evilexample.com/", False),
        ("hooks.example.com:8443", "https://hooks.example.com:8443/", True),
        ("hooks.example.com:8443", "https://hooks.example.com/", False),
        ("*", "http://anything.test/", True),
    ],
)
def test_names_are_listed_exactly_or_by_domain(entry: str, url: str, may: bool) -> None:
    allow_list = AllowList.parse([entry])

    if may:
        check_url(url, allow_list, at(PUBLIC))
    else:
        with pytest.raises(UrlRefused, match="allow-list"):
            check_url(url, allow_list, at(PUBLIC))


def test_empty_list_opens_nothing() -> None:
    with pytest.raises(UrlRefused):
        check_url("https://example.com/", AllowList.parse([]), at(PUBLIC))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
        "2001:0:0a00:0001::f5ff:fffe",  # Teredo of 10.0.0.1
    ],
)
def test_name_at_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(UrlRefused, match="private"):
        check_url("http://rebound.test/", ANYWHERE, at(address))


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
def test_metadata_and_their_like_are_refused_whatever_is_listed(address: str) -> None:
    everything = AllowList.parse(["*", "0.0.0.0/0", "::/0"])

    with pytest.raises(UrlRefused, match="never"):
        check_url("http://rebound.test/", everything, at(address))


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(UrlRefused, match="private"):
        check_url("http://mixed.test/", ANYWHERE, at(PUBLIC, "10.0.0.1"))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("192.168.1.0/24", "http://192.168.1.20:8080/"),
        ("192.168.1.20", "http://192.168.1.20/"),
        ("127.0.0.1:8554", "http://127.0.0.1:8554/"),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/"),
        ("[fd12::1]:8080", "http://[fd12::1]:8080/"),
        ("fd12::/16", "http://[fd12::1]/"),
    ],
)
def test_private_address_may_be_listed_as_such(entry: str, url: str) -> None:
    assert check_url(url, AllowList.parse([entry]), never).addresses


def test_listed_port_of_an_address_is_the_only_one() -> None:
    with pytest.raises(UrlRefused):
        check_url("http://127.0.0.1:6379/", AllowList.parse(["127.0.0.1:8554"]), never)


def test_name_of_a_listed_network_may_be_opened() -> None:
    allow_list = AllowList.parse(["192.168.1.0/24"])

    assert check_url("http://camera.lan/", allow_list, at("192.168.1.20")).host == "camera.lan"


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "1.2.3.4.5", "0x"]
)
def test_address_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(UrlRefused, match="four decimal numbers"):
        check_url(f"http://{host}/", ANYWHERE, never)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("//example.com/", "scheme"),
        ("https://user:pass@example.com/", "password"),
        ("https://example.com@evil.test/", "password"),
        ("https:///path", "host"),
        ("https://exa mple.com/", "percent-encoded"),
        ("https://example.com\\@evil.test/", "percent-encoded"),
        ("https://example.com/\r\nHost: evil", "percent-encoded"),
        ("https://\u2460.example.com/", "percent-encoded"),
        ("https://exa..mple.com/", "host"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://example.com:0x50/", "port"),
        ("https://example.com:99999/", "port"),
        ("https://example.com/" + "x" * 2048, "longer"),
    ],
)
def test_url_that_parsers_may_read_differently_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UrlRefused, match=reason):
        check_url(url, ANYWHERE, at(PUBLIC))


def test_credentials_may_be_allowed_and_are_never_in_the_error() -> None:
    url = "rtsp://admin:hunter2@camera.test/stream"

    target = check_url(url, ANYWHERE, at(PUBLIC), schemes=("rtsp",), allows_credentials=True)
    with pytest.raises(UrlRefused) as caught:
        check_url(url, ANYWHERE, at("10.0.0.1"), schemes=("rtsp",), allows_credentials=True)

    assert (target.host, target.port) == ("camera.test", 554)
    assert "hunter2" not in caught.value.message


def test_host_that_cannot_be_found_is_refused() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror("not known")

    with pytest.raises(UrlRefused, match="cannot be found"):
        check_url("https://nowhere.test/", ANYWHERE, unknown)
    with pytest.raises(UrlRefused, match="no address"):
        check_url("https://nowhere.test/", ANYWHERE, at())


@pytest.mark.parametrize(
    "entry", ["", "*.", "http://x", "host:port", "[::1", "10.0.0.1/8", "a b", "x:0", "[::1]x"]
)
def test_entry_that_means_nothing_is_refused_when_read(entry: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        AllowList.parse([entry])


def test_system_resolver_finds_loopback() -> None:
    assert set(resolve_host("localhost", 80)) <= {"127.0.0.1", "::1"}
