"""Pages of the repository's root as pages of the site: their names, and links to them. Pure."""

import re

PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_NAMES = "|".join(re.escape(name) for name in PAGES)
_FROM_ROOT = re.compile(rf"\]\((?:docs/(?P<docs>[^)]+)|(?P<root>{_NAMES})(?P<anchor>#[^)]*)?)\)")
_FROM_DOCS = re.compile(rf"\]\((?P<up>(?:\.\./)+)(?P<root>{_NAMES})(?P<anchor>#[^)]*)?\)")


def from_root(markdown: str) -> str:
    """Rewrite the links of a page in the root, as if it were in docs/ under its name of `PAGES`."""

    def link(match: re.Match[str]) -> str:
        if match["docs"]:
            return f"]({match['docs']})"
        return f"]({PAGES[match['root']]}{match['anchor'] or ''})"

    return _FROM_ROOT.sub(link, markdown)


def from_docs(markdown: str) -> str:
    """Rewrite the links of a page in docs/ to pages in the root."""

    def link(match: re.Match[str]) -> str:
        up = match["up"].removeprefix("../")
        return f"]({up}{PAGES[match['root']]}{match['anchor'] or ''})"

    return _FROM_DOCS.sub(link, markdown)


__all__ = ["PAGES", "from_docs", "from_root"]
