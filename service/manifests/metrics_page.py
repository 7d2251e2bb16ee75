"""The table of docs/metrics.md, from the metrics themselves. Pure."""

from prometheus_client.metrics import MetricWrapperBase

from service.metrics import Metrics

HEAD = "| Metric | Type | Labels | |\n|---|---|---|---|\n"


def with_table(page: str) -> str:
    """The page with its table made anew; what is written before the table stays.

    Raises:
        ValueError: It has no table.
    """
    text, head, _ = page.partition(HEAD)
    if not head:
        raise ValueError("the page has no table of metrics")
    rows = [_row(collector) for collector in Metrics().collectors]
    return text + HEAD + "\n".join(rows) + "\n"


def _row(collector: MetricWrapperBase) -> str:
    (family,) = collector.describe()
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in collector._labelnames)
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


__all__ = ["with_table"]
