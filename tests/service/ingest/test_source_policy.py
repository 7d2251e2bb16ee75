import os
from pathlib import Path

import pytest

from service.egress import AllowList
from service.errors import UrlRefused
from service.ingest.source_policy import SourcePolicy, shown_url
from service.source_errors import SourceDenied

PUBLIC = "93.184.216.34"


def allowing(*hosts: str, schemes: tuple[str, ...] = ("rtsp", "http", "https")) -> SourcePolicy:
    return SourcePolicy(AllowList.parse(hosts), schemes)


def resolve(host: str, port: int) -> list[str]:
    return [PUBLIC if host.endswith(".example.com") else "10.0.0.7"]


@pytest.mark.parametrize(
    "url", ["rtsp://cam.example.com/1", "http://127.0.0.1/", "file:///etc/hosts"]
)
def test_nothing_is_allowed_by_default_and_the_setting_is_named(url: str) -> None:
    policy = SourcePolicy()

    with pytest.raises(UrlRefused, match="OMNISIFT_SOURCES__"):
        policy.open_file(url) if url.startswith("file") else policy.check(url, resolve)


def test_a_listed_host_is_reached_at_its_address_with_its_password() -> None:
    target = allowing("*.example.com").check("rtsp://u:p@cam.example.com/1", resolve)

    assert (target.addresses, target.port, target.host) == ((PUBLIC,), 554, "cam.example.com")
    assert target.url == "rtsp://u:p@cam.example.com/1"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://other.test/x", "OMNISIFT_SOURCES__HOSTS"),
        ("http://10.0.0.8/x", "private address that is not listed .OMNISIFT_SOURCES__HOSTS"),
        ("http://169.254.169.254/latest/meta-data", "never reached"),
        ("rtsps://cam.example.com/1", "OMNISIFT_SOURCES__SCHEMES"),
        ("ftp://cam.example.com/1", "scheme"),
        ("concat:http://cam.example.com/1|http://10.0.0.8/", "scheme"),
        ("http://cam.example.com\\@10.0.0.8/", "percent-encoded"),
    ],
)
def test_what_is_not_listed_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UrlRefused, match=reason):
        allowing("*.example.com").check(url, resolve)


def test_no_refusal_repeats_a_password() -> None:
    with pytest.raises(UrlRefused) as caught:
        allowing("*.example.com").check("rtsp://u:secret@other.test/secret?key=secret", resolve)

    assert "secret" not in str(caught.value)


def test_files_under_a_root_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a clip.mp4").write_bytes(b"media")
    policy = SourcePolicy(file_roots=[tmp_path])

    with policy.open_file(f"file://{tmp_path}/a%20clip.mp4") as file:
        assert file.read() == b"media"


def test_no_path_leads_out_of_the_roots(tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    policy = SourcePolicy(file_roots=[root])

    for path in ("/secret", "/media/../secret", "/media/link", "/media/%2e%2e/secret", "/media2"):
        with pytest.raises(UrlRefused, match="OMNISIFT_SOURCES__FILE_ROOTS"):
            policy.open_file(f"file://{tmp_path}{path}")


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    policy = SourcePolicy(file_roots=[tmp_path])

    for name in ("pipe", "", "none.mp4"):
        with pytest.raises(SourceDenied):
            policy.open_file(f"file://{tmp_path}/{name}")
    with pytest.raises(UrlRefused, match="file:///absolute/path"):
        policy.open_file("file://host/x")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p%40@cam:8554/live/1?token=s#f", "rtsp://cam:8554/live/1"),
        ("https://[::1]:80/x", "https://[::1]:80/x"),
        ("file:///media/clip.mp4", "file:///media/clip.mp4"),
        ("http://[broken", ""),
    ],
)
def test_a_shown_url_holds_no_secret(url: str, shown: str) -> None:
    assert shown_url(url) == shown
