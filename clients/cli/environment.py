"""The environment variables of the command line; no other module of it reads the environment."""

import os
from dataclasses import dataclass

from clients.sdk.transport import DEFAULT_URL


@dataclass(frozen=True, slots=True)
class Environment:
    """Defaults of the options.

    Attributes:
        url: `OMNISIFT_URL`.
        api_key: `OMNISIFT_API_KEY`; an empty one is none.
    """

    url: str = DEFAULT_URL
    api_key: str | None = None


def read_environment() -> Environment:
    return Environment(
        os.environ.get("OMNISIFT_URL") or DEFAULT_URL,
        os.environ.get("OMNISIFT_API_KEY") or None,
    )
