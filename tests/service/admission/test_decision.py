import pytest

from service.admission.decision import AdmissionConfig, Report, limits, shortage, shown_share

CONFIG = AdmissionConfig()
CALM = {
    "Ingest": [
        {
            "sessions": 3.0,
            "shown": 3.0,
            "busy": 0.4,
            "lag_s": 0.2,
            "host_busy": 0.3,
            "host_cores": 2.0,
        }
    ],
    "Encoder": [{"waiting_chunks": 1.0, "busy": 0.3}],
    "Compressor": [{"sessions": 3.0, "busy": 0.1}],
    "LLM": [{"sessions": 3.0, "busy": 0.2, "room_tokens": 9000.0}],
}


def test_session_is_taken_where_every_kind_has_room() -> None:
    assert shortage(CALM, CONFIG) is None


@pytest.mark.parametrize(
    ("deployment", "signal", "value", "name"),
    [
        ("Ingest", "sessions", 16.0, "ingest_sessions"),
        ("Ingest", "busy", 0.9, "ingest_busy"),
        ("Ingest", "host_busy", 0.8, "host_busy"),
        ("Ingest", "lag_s", 1.5, "lag_s"),
        ("Encoder", "busy", 0.95, "encoder_busy"),
        ("Encoder", "waiting_chunks", 16.0, "waiting_chunks"),
        ("Compressor", "busy", 0.9, "compressor_busy"),
        ("LLM", "busy", 1.0, "llm_busy"),
        ("LLM", "room_tokens", 1023.0, "room_tokens"),
    ],
)
def test_session_is_refused_for_what_is_short(
    deployment: str, signal: str, value: float, name: str
) -> None:
    crowded = {**CALM[deployment][0], signal: value}
    if signal == "sessions":
        crowded["shown"] = value

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


def served(num_sessions: float, *, num_shown: float, busy: float) -> dict[str, list[Report]]:
    """A service on one machine of 8 cores, by what it reports."""
    ingest = {
        "sessions": num_sessions,
        "shown": num_shown,
        "arriving": num_sessions - num_shown,
        "host_busy": busy,
        "host_cores": 8.0,
    }
    return {"Ingest": [ingest], "LLM": [{"room_tokens": 99_000.0}]}


def admitted(reports: dict[str, list[Report]], most: int = 99) -> int:
    """How many come in at once, while the reports are as they are."""
    for number in range(most):
        if shortage(reports, CONFIG, num_waiting=number) is not None:
            return number
    return most


def test_crowd_at_once_finds_no_more_room_than_sessions_one_by_one() -> None:
    # each needs 0.05 of the machine; at 0.75 there is room for fifteen in all
    costs = {n: served(n, num_shown=n, busy=0.05 * n) for n in range(1, 16)}
    one_by_one = next(n for n, reports in costs.items() if shortage(reports, CONFIG) is not None)

    for number in (4, 8, 12):
        at_once = number + admitted(costs[number])
        assert one_by_one - 1 <= at_once <= one_by_one


def test_empty_service_takes_as_many_as_its_cores_are_taken_to_carry() -> None:
    # 0.25 cores each, 0.75 of 8 cores
    assert admitted(served(0, num_shown=0, busy=0.0)) == 16  # sessions of the only replica
    assert admitted({"Ingest": [{"host_busy": 0.0, "host_cores": 2.0}]}) == 6


@pytest.mark.parametrize("signal", ["busy", "host_busy"])
def test_sessions_that_arrive_count_as_those_that_are_there(signal: str) -> None:
    settled = {"sessions": 4.0, "shown": 4.0, signal: 0.45, "host_cores": 8.0}
    arriving = settled | {"sessions": 8.0, "arriving": 4.0}

    assert shortage({"Ingest": [settled]}, CONFIG) is None
    assert shortage({"Ingest": [arriving]}, CONFIG) is not None


def test_sessions_that_nobody_publishes_to_are_no_load() -> None:
    live = {"sessions": 4.0, "shown": 4.0, "arriving": 0.0, "host_busy": 0.4, "host_cores": 8.0}

    assert admitted({"Ingest": [live]}) == admitted({"Ingest": [live | {"sessions": 9.0}]})


def test_load_is_spread_over_all_replicas() -> None:
    one = {"sessions": 4.0, "shown": 4.0, "busy": 0.42}

    assert admitted({"Ingest": [one]}) == 4
    assert admitted({"Ingest": [one, one]}) == 9


def test_contexts_to_come_take_room() -> None:
    assert admitted({"Ingest": [{}], "LLM": [{"room_tokens": 3 * 1024.0}]}) == 3


def test_sessions_to_come_take_places() -> None:
    assert admitted({"Ingest": [{"sessions": 10.0}]}) == 6
    assert admitted({"Ingest": [{"sessions": 10.0}, {"sessions": 0.0}]}) == 22


def test_machine_that_others_keep_busy_takes_one_session() -> None:
    busy = {"sessions": 0.0, "shown": 0.0, "host_busy": 0.9, "host_cores": 8.0}

    assert admitted({"Ingest": [busy]}) == 1


def test_load_of_a_session_shows_as_its_first_chunks_go_through() -> None:
    assert [shown_share(media_s) for media_s in (0.0, 2.0, 5.0, 8.0, 60.0)] == [0, 0, 0.5, 1, 1]


def test_what_a_machine_did_before_is_not_taken_for_the_cost_of_sessions() -> None:
    assert admitted(served(1, num_shown=0, busy=0.3)) > 8


def test_every_limit_names_a_field_of_the_configuration() -> None:
    fields = set(AdmissionConfig.__dataclass_fields__)

    assert {limit.name for limit in limits(CONFIG)} == fields - {"session_cores"}
