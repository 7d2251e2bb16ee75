"""Settings as environment variables, the way they are read back. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.settings import Settings

PREFIX = "OMNISIFT_"
NESTED = "__"


def variables(settings: Settings) -> dict[str, str]:
    """The variables that give these settings: those that are not as by default.

    Raises:
        ValueError: A secret is among them; it belongs into a Secret.
    """
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    found = dict(_flat(changed, PREFIX))
    secret = [name for name, value in found.items() if "**" in value]
    if secret:
        raise ValueError(f"{', '.join(secret)}: secrets are not written into manifests")
    return found


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(value, Mapping):
            yield from _flat(value, variable + NESTED)
        else:
            yield variable, value if isinstance(value, str) else json.dumps(value)


__all__ = ["variables"]
