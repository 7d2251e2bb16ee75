"""Hooks of MkDocs: pages that are not in docs/ join the site, and nothing is loaded from elsewhere.

Knows nothing about what the pages say.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import moved, openapi, sdk

ROOT = Path(__file__).parents[1]
DECISIONS = "Decisions"
# what a browser would fetch from another host while it shows a page; links to follow are none
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\ssrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link\b(?![^>]*rel=["']?(?:canonical|next|prev))[^>]*\shref=["']?(?:https?:)?//[^"'\s>]+"""
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List every decision, oldest first, under its heading in the navigation."""
    found = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    pages = ["adr/README.md", *(f"adr/{name}" for name in found)]
    for section in config.nav or []:
        for items in section.values():
            for item in items:
                if isinstance(item, dict) and DECISIONS in item:
                    item[DECISIONS] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and the references that are made from the code."""
    for name, page in moved.PAGES.items():
        text = moved.from_root((ROOT / name).read_text())
        files.append(File.generated(config, page, content=text))
    files.append(
        File.generated(config, "reference/http.md", content=openapi.page(describe_service()))
    )
    files.append(File.generated(config, "reference/sdk.md", content=sdk.page()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links to pages of the repository's root lead to where they are on the site."""
    return moved.from_docs(markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Fail where a page would load something from another host: the site works without network."""
    found = loaded_from_elsewhere(output)
    if found:
        raise PluginError(f"{page.file.src_uri} loads from elsewhere: {', '.join(found)}")
    return output


def loaded_from_elsewhere(html: str) -> list[str]:
    """Find the tags of a page that make a browser fetch from another host."""
    return _LOADED.findall(html)


def describe_service() -> dict[str, Any]:
    """The OpenAPI document of the service, with nothing behind it."""
    from service.api.app import ApiConfig, create_app
    from service.api.backend import Backend

    # describing routes calls none of them, so nothing need be behind them
    nothing = cast(Backend, SimpleNamespace(store=None))
    return create_app(nothing, ApiConfig()).openapi()
