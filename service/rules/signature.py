"""Signs webhooks, so that a receiver knows who sent them and when. Pure.

The header is `OmniSIFT-Signature: t=UNIX_TIME,v1=HEX`, where HEX is the HMAC-SHA256 of
`UNIX_TIME.BODY` under the rule's secret. A receiver computes the same over the bytes it got,
compares in constant time, and refuses what is older than `REPLAY_WINDOW_S`.
"""

import hashlib
import hmac
import secrets
from typing import Final

HEADER: Final = "OmniSIFT-Signature"
REPLAY_WINDOW_S: Final = 300.0
SECRET_PREFIX: Final = "whsec_"


def new_secret() -> str:
    """Make a secret of 256 random bits."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def sign(secret: str, body: bytes, *, now_s: float) -> str:
    """The header's value for a body sent now."""
    sent_at_s = int(now_s)
    return f"t={sent_at_s},v1={_digest(secret, body, sent_at_s)}"


def is_valid(secret: str, body: bytes, header: str, *, now_s: float) -> bool:
    """Whether a header is of this body and recent: what a receiver does."""
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    try:
        sent_at_s = int(fields["t"])
    except (KeyError, ValueError):
        return False
    expected = _digest(secret, body, sent_at_s)
    is_recent = abs(now_s - sent_at_s) <= REPLAY_WINDOW_S
    return is_recent and hmac.compare_digest(expected.encode(), fields.get("v1", "").encode())


def _digest(secret: str, body: bytes, sent_at_s: int) -> str:
    return hmac.new(secret.encode(), b"%d." % sent_at_s + body, hashlib.sha256).hexdigest()


__all__ = ["HEADER", "REPLAY_WINDOW_S", "is_valid", "new_secret", "sign"]
