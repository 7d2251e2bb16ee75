"""Short signed texts that this service makes and reads back: tokens of sessions, page passes. Pure.

HMAC-SHA256 over a purpose and compact JSON. There is one algorithm, so a text cannot name another,
and nothing of it is parsed before its signature is right.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from service.errors import Unauthorized

MAX_CHARACTERS: Final = 2048
MIN_SECRET_BYTES: Final = 32


class Signer:
    """Signs and reads texts with one secret; a text of one purpose is none of another's."""

    def __init__(self, secret: bytes) -> None:
        """Take the secret, which all replicas share.

        Raises:
            ValueError: It has fewer than 32 bytes.
        """
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a signing secret has at least {MIN_SECRET_BYTES} bytes")
        self._secret = secret

    def sign(self, purpose: str, fields: Mapping[str, Any], *, expires_at_s: float) -> str:
        """The fields as a text that `read` accepts until `expires_at_s` (Unix time)."""
        document = {**fields, "exp": expires_at_s}
        payload = _encode(json.dumps(document, separators=(",", ":")).encode())
        return f"{payload}.{_encode(self._mac(purpose, payload))}"

    def read(self, purpose: str, text: str, *, now_s: float) -> Mapping[str, Any]:
        """The fields of a text of `sign`.

        Raises:
            Unauthorized: It was not signed here for this purpose, or has expired.
        """
        payload, _, signature = text.partition(".")
        if len(text) > MAX_CHARACTERS or not text.isascii():
            raise Unauthorized("the token is not one of this service")
        if not hmac.compare_digest(_encode(self._mac(purpose, payload)), signature):
            raise Unauthorized("the token is not one of this service")
        fields: dict[str, Any] = json.loads(_decode(payload))
        if fields["exp"] <= now_s:
            raise Unauthorized("the token has expired, ask for a new one")
        return fields

    def _mac(self, purpose: str, payload: str) -> bytes:
        return hmac.digest(self._secret, f"{purpose}:{payload}".encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise Unauthorized("the token is not one of this service") from exc


__all__ = ["Signer"]
