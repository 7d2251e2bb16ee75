import base64
import hashlib
import hmac

from service.access.turn import turn_credentials


def test_credentials_are_what_coturn_computes() -> None:
    made = turn_credentials(b"secret", "alice", 1_000.7, ttl_s=60)
    assert made.username == "1060:alice"
    expected = hmac.new(b"secret", b"1060:alice", hashlib.sha1).digest()
    assert base64.b64decode(made.credential) == expected


def test_another_secret_or_time_gives_other_credentials() -> None:
    made = turn_credentials(b"secret", "alice", 1_000.0)
    assert turn_credentials(b"other", "alice", 1_000.0).credential != made.credential
    assert turn_credentials(b"secret", "alice", 2_000.0).credential != made.credential
