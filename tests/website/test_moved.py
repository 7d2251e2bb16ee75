import pytest

from website.moved import PAGES, from_docs, from_root


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](docs/api.md#keys-and-tokens)", "[a](api.md#keys-and-tokens)"),
        ("[a](docs/adr/README.md)", "[a](adr/README.md)"),
        ("[a](SECURITY.md)", "[a](security.md)"),
        ("[a](SECURITY.md#reporting)", "[a](security.md#reporting)"),
        ("[a](https://example.org/docs/api.md)", "[a](https://example.org/docs/api.md)"),
    ],
)
def test_links_of_a_page_in_the_root_lead_to_the_site(link: str, expected: str) -> None:
    assert from_root(f"see {link}.") == f"see {expected}."


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../ARCHITECTURE.md)", "[a](architecture.md)"),
        ("[a](../../SECURITY.md#reporting)", "[a](../security.md#reporting)"),
        ("[a](settings.md)", "[a](settings.md)"),
        ("[a](../operations.md)", "[a](../operations.md)"),
    ],
)
def test_links_out_of_docs_lead_to_the_moved_pages(link: str, expected: str) -> None:
    assert from_docs(f"see {link}.") == f"see {expected}."


def test_names_on_the_site_are_lower_case() -> None:
    assert all(page == name.lower() for name, page in PAGES.items())
