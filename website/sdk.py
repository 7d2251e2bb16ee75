"""The page of the Python SDK: which parts are listed; mkdocstrings writes what they say. Pure."""

PARTS = {
    "Clients": ("clients.sdk.Client", "clients.sdk.AsyncClient"),
    "Options": (
        "clients.sdk.calls.SessionOptions",
        "clients.sdk.calls.AskOptions",
        "clients.sdk.calls.RuleOptions",
    ),
    "What the service answers": ("clients.sdk.models",),
    "Events": ("clients.sdk.events",),
    "Errors": ("clients.sdk.errors",),
    "Publishing": (
        "clients.sdk.publish.publish",
        "clients.sdk.publish.Progress",
        "clients.sdk.media",
    ),
}
_INTRODUCTION = """\
# Python SDK

Made from the docstrings of `clients/sdk`. How to begin: [clients](../clients.md#python).
"""


def page() -> str:
    """The Markdown of the page, with a directive of mkdocstrings for every part."""
    sections = (
        f"## {title}\n\n" + "\n".join(f"::: {name}\n" for name in names)
        for title, names in PARTS.items()
    )
    return "\n".join((_INTRODUCTION, *sections))


__all__ = ["PARTS", "page"]
