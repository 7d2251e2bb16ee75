"""A web server on loopback, of handlers written in a test."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


@contextmanager
def web_server(answer: Answer) -> Iterator[str]:
    """Yields the base URL; `answer` answers every GET."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, content: bytes, *, ranges: bool = False) -> None:
    """Answer with content, or the range of it that was asked for."""
    start = 0
    wanted = handler.headers.get("Range")
    if ranges and wanted:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        handler.send_response(200)
    if ranges:
        handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start:])


def redirect(handler: BaseHTTPRequestHandler, location: str) -> None:
    """Send the client elsewhere."""
    handler.send_response(302)
    handler.send_header("Location", location)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def refuse(handler: BaseHTTPRequestHandler, status: int) -> None:
    """Answer with a status alone."""
    handler.send_response(status)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
