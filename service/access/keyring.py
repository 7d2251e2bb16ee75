"""API keys: made once, kept as hashes, found in constant time. Pure: opens no file.

A key is 256 random bits, so one SHA-256 of it is as good as a slow hash: there is no dictionary of
likely keys to try, and a request is not held up for the tenth of a second that scrypt would take.
For a password, which has far fewer bits, this would be wrong; keys are therefore never chosen.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from service.access.caller import Scope

PREFIX: Final = "osk_"  # scanners for leaked secrets find it by this
KEY_BYTES: Final = 32
KEY_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
FIELDS: Final = {"id", "scopes", "sha256"}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept.

    Attributes:
        id: Its public name; sessions are owned by it, so a key that is replaced keeps it.
        sha256: Of the whole key, prefix included.
    """

    id: str
    scopes: frozenset[Scope]
    sha256: bytes

    def entry(self) -> dict[str, Any]:
        """Its line in the keys file."""
        return {"id": self.id, "scopes": sorted(self.scopes), "sha256": self.sha256.hex()}


class Keyring:
    """All keys of the service; an empty one means that the service is open."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        """Hold the keys.

        Raises:
            ValueError: Two have the same id or are the same key.
        """
        self._keys = tuple(keys)
        for values in ([key.id for key in self._keys], [key.sha256 for key in self._keys]):
            if len(set(values)) < len(values):
                raise ValueError("two API keys have the same id or the same hash")

    @property
    def is_empty(self) -> bool:
        return not self._keys

    def find(self, presented: str) -> ApiKey | None:
        """The key that was presented, comparing with all of them in constant time each."""
        digest = hashlib.sha256(presented.encode()).digest()
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return found[0] if found else None

    def get(self, key_id: str) -> ApiKey | None:
        """The key of this id, if there still is one."""
        return next((key for key in self._keys if key.id == key_id), None)

    @classmethod
    def parse(cls, *texts: str) -> "Keyring":
        """Read one or more texts `{"keys": [{"id", "scopes", "sha256"}, ...]}`.

        Raises:
            ValueError: One is not that; the message says which entry and why.
        """
        return cls(
            _read(entry, number) for text in texts for number, entry in enumerate(_entries(text))
        )

    def dump(self) -> str:
        """All keys as a text for `parse`."""
        return json.dumps({"keys": [key.entry() for key in self._keys]})


def generate(key_id: str, scopes: Collection[str]) -> tuple[str, ApiKey]:
    """Make a key.

    Returns:
        The key, which is kept nowhere, and what is kept of it.

    Raises:
        ValueError: `key_id` is no id, or a scope is none.
    """
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key, _read({"id": key_id, "scopes": [*scopes], "sha256": digest}, 0)


def _entries(text: str) -> list[object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError("API keys: not JSON") from exc
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError('API keys: expected {"keys": [...]}')
    return entries


def _read(entry: object, number: int) -> ApiKey:
    where = f"API keys, entry {number}"
    if not isinstance(entry, dict) or entry.keys() != FIELDS:
        raise ValueError(f"{where}: expected exactly the fields {', '.join(sorted(FIELDS))}")
    key_id, scopes, digest = entry["id"], entry["scopes"], entry["sha256"]
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        raise ValueError(f"{where}: an id is up to 64 of a-z, 0-9, '.', '_' and '-'")
    if not isinstance(scopes, list) or not scopes or not {*map(str, scopes)} <= {*Scope}:
        raise ValueError(f"{where}: scopes are one or more of {', '.join(Scope)}")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ValueError(f"{where}: sha256 is 64 hexadecimal digits, in lower case")
    return ApiKey(key_id, frozenset(map(Scope, scopes)), bytes.fromhex(digest))


__all__ = ["ApiKey", "Keyring", "generate"]
