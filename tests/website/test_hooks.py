import pytest

from website.hooks import loaded_from_elsewhere


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://unpkg.com/shim.js"></script>',
        '<link href="https://fonts.example/css" rel="stylesheet">',
        "<img alt=x src=//cdn.example/x.png>",
    ],
)
def test_what_a_browser_would_fetch_from_another_host_is_found(tag: str) -> None:
    assert len(loaded_from_elsewhere(f"<p>{tag}</p>")) == 1


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="../assets/a.js"></script>',
        '<link rel="canonical" href="https://docs.example/page.html">',
        '<a href="https://example.org">a link to follow</a>',
        '<img src="chunk-life.svg">',
    ],
)
def test_own_files_and_links_are_no_loads(tag: str) -> None:
    assert loaded_from_elsewhere(tag) == []
