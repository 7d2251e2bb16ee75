import base64
import io
from http.server import BaseHTTPRequestHandler

import pytest

from service.egress import AllowList
from service.errors import UrlRefused
from service.ingest.http_file import SKIP_BYTES, HttpFile
from service.ingest.source_policy import SourcePolicy
from service.source_errors import SourceDenied, SourceUnreachable
from tests.free_port import free_port
from tests.web import redirect, refuse, send, web_server

LOOPBACK = SourcePolicy(AllowList.parse(["127.0.0.1"]))
CONTENT = bytes(range(256)) * 4096  # 1 MiB


def opened(url: str, policy: SourcePolicy = LOOPBACK, *, timeout_s: float = 5.0) -> HttpFile:
    return HttpFile(url, policy, timeout_s=timeout_s)


def read_all(file: HttpFile) -> bytes:
    return b"".join(iter(lambda: file.read(10_000), b""))


def test_a_file_is_read_to_its_end() -> None:
    with web_server(lambda handler: send(handler, CONTENT)) as url, opened(url) as file:
        assert read_all(file) == CONTENT
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation):
            file.seek(0)


@pytest.mark.parametrize("position", [10, SKIP_BYTES + 100, len(CONTENT) - 5, len(CONTENT) + 5])
def test_any_part_can_be_read_where_the_server_gives_ranges(position: int) -> None:
    with (
        web_server(lambda handler: send(handler, CONTENT, ranges=True)) as url,
        opened(url) as file,
    ):
        assert file.seekable()
        file.read(100)
        assert file.seek(position) == position
        assert file.read(4) == CONTENT[position : position + 4]
        assert file.seek(0) == 0
        assert file.read(4) == CONTENT[:4]
        assert file.seek(-3, io.SEEK_END) == len(CONTENT) - 3
        assert read_all(file) == CONTENT[-3:]


def test_a_redirect_is_followed_where_its_target_is_allowed() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"here") if handler.path == "/b" else redirect(handler, "/b")

    with web_server(answer) as url, opened(f"{url}/a") as file:
        assert read_all(file) == b"here"


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.2:1/x", "http://169.254.169.254/", "file:///etc/passwd", "rtsp://127.0.0.1/"],
)
def test_a_redirect_to_what_is_not_allowed_is_refused(location: str) -> None:
    policy = SourcePolicy(AllowList.parse(["127.0.0.1"]), schemes=("http", "https"))

    with web_server(lambda handler: redirect(handler, location)) as url, pytest.raises(UrlRefused):
        opened(url, policy)


def test_a_circle_of_redirects_ends() -> None:
    with (
        web_server(lambda handler: redirect(handler, "/again")) as url,
        pytest.raises(SourceDenied, match="redirects more than"),
    ):
        opened(url)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, SourceDenied),
        (404, SourceDenied),
        (204, SourceDenied),
        (429, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
def test_a_refusal_is_told_with_its_status(status: int, error: type[Exception]) -> None:
    with (
        web_server(lambda handler: refuse(handler, status)) as url,
        pytest.raises(error, match=str(status)),
    ):
        opened(url)


def test_the_password_of_the_url_is_sent() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = "Basic " + base64.b64encode(b"user:pass").decode()
        is_known = handler.headers.get("Authorization") == wanted
        send(handler, b"media") if is_known else refuse(handler, 401)

    with web_server(answer) as url:
        with opened(url.replace("//", "//user:pass@")) as file:
            assert read_all(file) == b"media"
        with pytest.raises(SourceDenied, match="401") as caught:
            opened(url.replace("//", "//user:wrong@"))
        assert "wrong" not in str(caught.value)


def test_who_does_not_answer_is_unreachable() -> None:
    with pytest.raises(SourceUnreachable, match="connection failed"):
        opened(f"http://127.0.0.1:{free_port()}/")


def test_a_connection_that_breaks_is_lost() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)
        handler.close_connection = True

    with web_server(answer) as url, opened(url) as file, pytest.raises(SourceUnreachable):
        read_all(file)


def test_a_compressed_body_is_refused() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with web_server(answer) as url, pytest.raises(SourceDenied, match="compressed"):
        opened(url)
