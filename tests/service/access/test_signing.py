import base64

import pytest

from service.access.signing import Signer
from service.errors import Unauthorized

SIGNER = Signer(b"s" * 32)


def test_signed_fields_are_read_back_until_they_expire() -> None:
    text = SIGNER.sign("session", {"sid": "s1"}, expires_at_s=100.0)

    assert SIGNER.read("session", text, now_s=99.9)["sid"] == "s1"
    with pytest.raises(Unauthorized, match="expired"):
        SIGNER.read("session", text, now_s=100.0)


def test_another_replica_with_the_same_secret_reads_it() -> None:
    text = SIGNER.sign("session", {}, expires_at_s=100.0)

    assert Signer(b"s" * 32).read("session", text, now_s=0.0)
    with pytest.raises(Unauthorized, match="not one of"):
        Signer(b"t" * 32).read("session", text, now_s=0.0)


def test_text_of_one_purpose_is_none_of_another() -> None:
    text = SIGNER.sign("page", {}, expires_at_s=100.0)

    with pytest.raises(Unauthorized):
        SIGNER.read("session", text, now_s=0.0)


def test_every_change_of_a_character_is_noticed() -> None:
    text = SIGNER.sign("session", {"sid": "s1"}, expires_at_s=100.0)
    # the last character of a signature has bits that base64 ignores: they count here too
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(Unauthorized):
            SIGNER.read("session", changed, now_s=0.0)


def test_payload_with_another_ones_signature_is_refused() -> None:
    signature = SIGNER.sign("session", {"sid": "s1"}, expires_at_s=100.0).partition(".")[2]
    forged = base64.urlsafe_b64encode(b'{"sid":"s2","exp":100.0}').decode().rstrip("=")

    with pytest.raises(Unauthorized):
        SIGNER.read("session", f"{forged}.{signature}", now_s=0.0)


@pytest.mark.parametrize("text", ["", ".", "a.b", "a", "\u00e9.x", "x" * 5000, "." * 10])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        SIGNER.read("session", text, now_s=0.0)


def test_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Signer(b"short")
