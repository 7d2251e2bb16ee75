import json

import pytest

from service.access.caller import Scope
from service.access.keyring import Keyring, generate


def test_key_is_found_by_itself_and_kept_as_a_hash() -> None:
    key, kept = generate("alice", ["publish", "ask"])
    keyring = Keyring.parse(json.dumps({"keys": [kept.entry()]}))

    found = keyring.find(key)

    assert found is not None
    assert (found.id, found.scopes) == ("alice", {Scope.PUBLISH, Scope.ASK})
    assert key not in keyring.dump()
    assert keyring.find(key + "x") is None
    assert keyring.find("") is None
    assert keyring.find(kept.sha256.hex()) is None  # a stolen file opens nothing


def test_keys_have_256_random_bits() -> None:
    keys = {generate("alice", ["ask"])[0] for _ in range(100)}

    assert len(keys) == 100
    assert {len(key) for key in keys} == {len("osk_") + 43}


def test_keys_of_several_texts_are_one_ring() -> None:
    (first, a), (second, b) = generate("a", ["ask"]), generate("b", ["admin"])

    keyring = Keyring.parse(*(json.dumps({"keys": [kept.entry()]}) for kept in (a, b)))

    assert keyring.find(first) == keyring.get("a")
    assert keyring.find(second) == keyring.get("b")
    assert keyring.get("c") is None
    assert Keyring.parse(keyring.dump()).get("b") == keyring.get("b")


def test_ring_without_keys_is_empty() -> None:
    assert Keyring().is_empty
    assert Keyring.parse().is_empty
    assert not Keyring([generate("a", ["ask"])[1]]).is_empty


ENTRY = {"id": "a", "scopes": ["ask"], "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "expected"),
        ('{"keys": {}}', "expected"),
        (json.dumps({"keys": ["a"]}), "entry 0"),
        (json.dumps({"keys": [ENTRY, {**ENTRY, "key": "osk_1"}]}), "entry 1"),
        (json.dumps({"keys": [{**ENTRY, "id": "A b"}]}), "id is"),
        (json.dumps({"keys": [{**ENTRY, "id": 7}]}), "id is"),
        (json.dumps({"keys": [{**ENTRY, "scopes": []}]}), "scopes are"),
        (json.dumps({"keys": [{**ENTRY, "scopes": ["ask", "root"]}]}), "scopes are"),
        (json.dumps({"keys": [{**ENTRY, "sha256": "0" * 63}]}), "sha256 is"),
        (json.dumps({"keys": [ENTRY, ENTRY]}), "same id"),
        (json.dumps({"keys": [ENTRY, {**ENTRY, "id": "b"}]}), "same hash"),
    ],
)
def test_malformed_ring_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Keyring.parse(text)
