from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Metrics, merge_expositions


def samples(exposition: bytes, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
        if sample.name == name
    }


def test_two_processes_have_separate_registries() -> None:
    first, second = Metrics(), Metrics()
    first.chunks_total.inc()

    assert samples(first.exposition(), "omnisift_chunks_total") == {(): 1.0}
    assert samples(second.exposition(), "omnisift_chunks_total") == {(): 0.0}


def test_merged_samples_keep_their_replica() -> None:
    first, second = Metrics(), Metrics()
    first.tokens_total.labels("video", "in").inc(128)
    second.tokens_total.labels("video", "in").inc(64)

    merged = merge_expositions(
        [("Compressor", "r1", first.exposition()), ("Compressor", "r2", second.exposition())]
    )

    values = samples(merged, "omnisift_tokens_total")
    assert sorted(values.values()) == [64.0, 128.0]
    assert all(("deployment", "Compressor") in labels for labels in values)


def test_merged_families_keep_help_and_type() -> None:
    merged = merge_expositions([("Api", "r1", Metrics().exposition())]).decode()

    assert "# HELP omnisift_ingest_lag_seconds Glass to context" in merged
    assert "# TYPE omnisift_ingest_lag_seconds histogram" in merged


def test_merging_what_was_merged_changes_no_name() -> None:
    metrics = Metrics()
    metrics.query_ttft_seconds.observe(0.1)
    once = merge_expositions([("Api", "r1", metrics.exposition())])

    names = {family.name for family in text_string_to_metric_families(once.decode())}

    assert "omnisift_query_ttft_seconds" in names
    assert not any(name.endswith("_created") for name in names)


def test_every_metric_has_the_prefix_and_help() -> None:
    # process_*: the client library's own, of which each system offers what it can
    for family in text_string_to_metric_families(Metrics().exposition().decode()):
        assert family.name.startswith(("omnisift_", "process_"))
        assert family.documentation.endswith(".")
