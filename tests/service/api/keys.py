"""API keys for tests of a service that is not open."""

from typing import Final

from service.access.keyring import Keyring, generate

SCOPES: Final = {
    "alice": ["publish", "ask"],
    "bob": ["publish", "ask"],
    "camera": ["publish"],
    "viewer": ["ask"],
    "scraper": ["metrics"],
    "root": ["admin"],
}
_MADE = {key_id: generate(key_id, scopes) for key_id, scopes in SCOPES.items()}
KEYS: Final = {key_id: key for key_id, (key, _) in _MADE.items()}
KEYRING: Final = Keyring(kept for _, kept in _MADE.values())


def bearer(credential: str) -> dict[str, str]:
    """The header of a key's id, a key or a token."""
    return {"Authorization": f"Bearer {KEYS.get(credential, credential)}"}
