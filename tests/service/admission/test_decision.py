import pytest

from service.admission.decision import AdmissionConfig, limits, shortage

CONFIG = AdmissionConfig()
CALM = {
    "Ingest": [{"sessions": 3.0, "busy": 0.4}],
    "Encoder": [{"waiting_chunks": 1.0, "busy": 0.3}],
    "LLM": [{"sessions": 3.0, "busy": 0.2, "room_tokens": 9000.0}],
}


def test_session_is_taken_where_every_kind_has_room() -> None:
    assert shortage(CALM, CONFIG) is None


@pytest.mark.parametrize(
    ("deployment", "signal", "value", "name"),
    [
        ("Ingest", "sessions", 16.0, "ingest_sessions"),
        ("Ingest", "busy", 0.9, "ingest_busy"),
        ("Encoder", "busy", 0.95, "encoder_busy"),
        ("Encoder", "waiting_chunks", 16.0, "waiting_chunks"),
        ("LLM", "busy", 1.0, "llm_busy"),
        ("LLM", "room_tokens", 1023.0, "room_tokens"),
    ],
)
def test_session_is_refused_for_what_is_short(
    deployment: str, signal: str, value: float, name: str
) -> None:
    crowded = {**CALM[deployment][0], signal: value}

    refused = shortage({**CALM, deployment: [crowded]}, CONFIG)

    assert refused is not None
    assert refused.name == name
    # another replica of the kind has room
    assert shortage({**CALM, deployment: [crowded, CALM[deployment][0]]}, CONFIG) is None


def test_session_needs_one_replica_with_room_of_every_sort() -> None:
    replicas = [{"busy": 0.95, "room_tokens": 9000.0}, {"busy": 0.1, "room_tokens": 0.0}]

    refused = shortage({**CALM, "LLM": replicas}, CONFIG)

    assert refused is not None
    assert refused.name == "llm_busy"


def test_replicas_that_say_nothing_are_given_the_benefit_of_the_doubt() -> None:
    assert shortage({"Ingest": [], "Encoder": [], "LLM": []}, CONFIG) is None
    assert shortage({"LLM": [{}]}, CONFIG) is None


def test_every_limit_names_a_field_of_the_configuration() -> None:
    assert {limit.name for limit in limits(CONFIG)} == set(AdmissionConfig.__dataclass_fields__)
