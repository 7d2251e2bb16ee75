import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.egress import Target
from service.ingest.rtsp import RedirectGuard, relayed
from service.source_errors import SourceDenied, SourceUnreachable
from tests.free_port import free_port

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target(port: int, *, scheme: str = "rtsp", host: str = "127.0.0.1") -> Target:
    return Target(f"{scheme}://u:p@{host}:{port}/live?x=1", scheme, host, port, ("127.0.0.1",))


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def ask(url: str, data: bytes) -> bytes:
    """What comes back over the relay, up to its end or 100 bytes."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(100), 5)
    except ConnectionResetError:  # closed with bytes unread
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"RTSP/1.0 302 Moved\r\nLocation: rtsp://10.0.0.7/\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nRTSP/1.0  301 Moved\n\n",
        b"R\rTSP/1.0\r 30\r5 Moved\n\n",
        b"RTSP/2.0 \t +0300 x\n",
    ],
)
def test_a_redirect_is_seen_however_it_is_cut(answer: bytes) -> None:
    for cut in range(1, len(answer) + 1):
        guard = RedirectGuard()
        parts = [answer[start : start + cut] for start in range(0, len(answer), cut)]

        assert any([guard.sees(part) for part in parts])


def test_other_answers_are_no_redirect() -> None:
    guard = RedirectGuard()

    assert not guard.sees(b"RTSP/1.0 200 OK\r\nServer: RTSP/1.0 301\r\nCSeq: 300\r\n\r\n")
    assert not guard.sees(b"RTSP/1.0 401 Unauthorized\r\n\r\n")
    assert not guard.sees(b"$\x00\x00\x04\n301" * 1000)


async def test_bytes_go_both_ways_and_the_password_stays_in_the_url() -> None:
    async with listening(echo) as port, relayed(target(port), connect_s=5) as relay:
        assert relay.url.startswith("rtsp://u:p@127.0.0.1:")
        assert relay.url.endswith("/live?x=1")
        assert await ask(relay.url, b"DESCRIBE") == b"DESCRIBE"
        # only the first connection is served
        assert await ask(relay.url, b"DESCRIBE") == b""


async def test_a_redirect_ends_the_connection() -> None:
    async with listening(echo) as port, relayed(target(port), connect_s=5) as relay:
        assert await ask(relay.url, b"RTSP/1.0 302 Found\r\n") == b""
        assert relay.has_redirect


async def test_nobody_there_is_told_without_the_address() -> None:
    with pytest.raises(SourceUnreachable, match="Connection refused") as caught:
        async with relayed(target(free_port()), connect_s=5):
            pass

    assert "127.0.0.1" not in str(caught.value)


async def test_tls_is_checked_against_the_name_in_the_url(tmp_path: Path) -> None:
    served = _certificate("camera.test", tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    async with listening(echo, served) as port:
        named = target(port, scheme="rtsps", host="camera.test")
        async with relayed(named, connect_s=5, tls=trusting) as relay:
            assert relay.url.startswith("rtsp://u:p@127.0.0.1:")
            assert await ask(relay.url, b"DESCRIBE") == b"DESCRIBE"

        other = target(port, scheme="rtsps", host="other.test")
        for tls, where in ((trusting, other), (None, named)):
            with pytest.raises(SourceDenied, match="not trusted"):
                async with relayed(where, connect_s=5, tls=tls):
                    pass


def _certificate(host: str, folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making, written to `cert.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
