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
        is_plain: No colours and no redrawing: `NO_COLOR` is set (no-color.org), or `TERM=dumb`.
        completes: A shell asks for completions (`_ARGCOMPLETE`).
    """

    url: str = DEFAULT_URL
    api_key: str | None = None
    is_plain: bool = False
    completes: bool = False


def read_environment() -> Environment:
    return Environment(
        os.environ.get("OMNISIFT_URL") or DEFAULT_URL,
        os.environ.get("OMNISIFT_API_KEY") or None,
        is_plain=bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb",
        completes="_ARGCOMPLETE" in os.environ,
    )
