"""FFmpeg publishes by its own WHIP muxer, which shares no code with any other publisher here."""

import asyncio
import datetime
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from clients.sdk import AsyncClient
from service.api.app import ApiConfig, create_app
from tests.eventually import eventually
from tests.local import fake_backend, served

pytestmark = [pytest.mark.redis, pytest.mark.webrtc]

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
LENGTH_S = 4.0  # a chunk, and what a busy machine takes to connect


async def test_what_ffmpeg_publishes_is_in_context_whatever_its_certificate(
    redis_url: str, tmp_path: Path
) -> None:
    async with (
        fake_backend(redis_url) as backend,
        served(create_app(backend, ApiConfig())) as url,
        AsyncClient(url) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for name, key, profile in (("rsa", rsa_key(), "baseline"), ("ec", ec_key(), "high")):
                files = write_certificate(tmp_path, name, key)
                group.create_task(published(client, url, profile, *files))
        registry = backend.metrics.registry
        assert registry.get_sample_value("omnisift_chunks_total") >= 2
        for modality, least in (("video", 8), ("audio", 200)):
            labels = {"modality": modality, "result": "used"}
            assert registry.get_sample_value("omnisift_ingest_frames_total", labels) >= least


async def published(client: AsyncClient, url: str, *arguments: str) -> None:
    """Let FFmpeg publish into a new session, and see that it arrives and hangs up."""
    session = await client.create_session()
    whip = f"{url}/v1/sessions/{session.id}/whip"
    ffmpeg = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.ffmpeg_publisher", whip, str(LENGTH_S), *arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await ffmpeg.communicate()
    assert ffmpeg.returncode == 0, told.decode()

    async def is_idle() -> bool:
        return (await client.get_session(session.id)).status == "idle"

    await eventually(is_idle)  # it deletes its WHIP resource, at the relative URL that it was given


def rsa_key() -> Key:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def write_certificate(folder: Path, name: str, key: Key) -> tuple[str, str]:
    """A certificate that the key has signed itself, and the key, as PEM files."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_file.write_bytes(secret)
    return str(certificate_file), str(key_file)
