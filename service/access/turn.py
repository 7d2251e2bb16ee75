"""Credentials of a TURN server that expire, from a secret shared with it. Pure.

The scheme of coturn's `use-auth-secret`: draft-uberti-behave-turn-rest-00, section 2.2. SHA-1 is
what it asks for; as a key for HMAC that is still sound.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

TTL_S = 24 * 3600  # as recommended there


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """What a client shows a TURN server."""

    username: str
    credential: str


def turn_credentials(
    secret: bytes, user: str, now_s: float, *, ttl_s: int = TTL_S
) -> TurnCredentials:
    """Make credentials for `user`, which say when they end.

    Args:
        secret: Shared with the server.
        user: For its logs.
        now_s: Unix time.
        ttl_s: How long they open allocations; one that is open stays.
    """
    username = f"{int(now_s) + ttl_s}:{user}"
    digest = hmac.new(secret, username.encode(), hashlib.sha1).digest()
    return TurnCredentials(username, base64.b64encode(digest).decode())


__all__ = ["TTL_S", "TurnCredentials", "turn_credentials"]
