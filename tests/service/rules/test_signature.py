import hashlib
import hmac

import pytest

from service.rules.signature import REPLAY_WINDOW_S, is_valid, new_secret, sign

BODY = b'{"type":"rule.matched"}'


def test_signature_is_what_the_documentation_says() -> None:
    digest = hmac.new(b"whsec_x", b"1790000000." + BODY, hashlib.sha256).hexdigest()

    assert sign("whsec_x", BODY, now_s=1_790_000_000.9) == f"t=1790000000,v1={digest}"


def test_own_signature_is_valid_for_a_while() -> None:
    secret = new_secret()
    header = sign(secret, BODY, now_s=1000.0)

    assert is_valid(secret, BODY, header, now_s=1000.0 + REPLAY_WINDOW_S)
    assert not is_valid(secret, BODY, header, now_s=1001.0 + REPLAY_WINDOW_S)


@pytest.mark.parametrize(
    "header", ["", "t=1000", "v1=00", "t=x,v1=00", "t=1000,v1=00", "t=1000,v1=\u00e9", "junk"]
)
def test_other_signatures_are_not(header: str) -> None:
    assert not is_valid("whsec_x", BODY, header, now_s=1000.0)


def test_signature_covers_body_time_and_secret() -> None:
    header = sign("whsec_x", BODY, now_s=1000.0)

    assert not is_valid("whsec_x", BODY + b" ", header, now_s=1000.0)
    assert not is_valid("whsec_y", BODY, header, now_s=1000.0)
    assert not is_valid("whsec_x", BODY, header.replace("t=1000", "t=1001"), now_s=1000.0)
