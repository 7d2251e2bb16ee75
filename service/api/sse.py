"""Server-sent events as bytes (WHATWG HTML, section 9.2). Pure: knows nothing about HTTP."""

import json
from collections.abc import Mapping
from typing import Any

KEEP_ALIVE = b": keep-alive\n\n"
MEDIA_TYPE = "text/event-stream"
DOCUMENTED: dict[str, Any] = {"content": {MEDIA_TYPE: {"schema": {}}}}
"""Of a 200, for OpenAPI."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies must not hold it back


def encode(
    data: Mapping[str, Any] | str, *, event: str | None = None, cursor: str | None = None
) -> bytes:
    """One event.

    Args:
        data: Sent as compact JSON; a string is sent as it is and must not contain line breaks.
        event: Its type, the client's `addEventListener` name.
        cursor: Its id, which the client sends back as `Last-Event-ID` when it reconnects.
    """
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    lines = [f"id: {cursor}"] if cursor is not None else []
    lines += [f"event: {event}"] if event is not None else []
    return "\n".join([*lines, f"data: {text}", "", ""]).encode()
