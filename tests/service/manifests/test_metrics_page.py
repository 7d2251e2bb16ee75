import pytest

from service.manifests.metrics_page import HEAD, with_table


def test_table_is_made_anew_and_the_text_before_it_stays() -> None:
    page = with_table(f"# Metrics\n\nText.\n\n{HEAD}| old | row |\n")
    assert page.startswith("# Metrics\n\nText.\n")
    assert "old" not in page
    assert "| `omnisift_kv_pages` | gauge | `state` | Pages of the KV cache" in page
    assert "| `omnisift_chunks_total` | counter |  | Chunks in context. |" in page


def test_a_page_without_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table"):
        with_table("# Metrics")
