from service.routing import Candidate, SessionBindings


def replicas(*names: str) -> dict[str, Candidate]:
    return {name: Candidate(name) for name in names}


def test_session_stays_with_its_replica() -> None:
    bindings = SessionBindings()

    chosen = {bindings.choose("s", replicas("a", "b", "c")) for _ in range(10)}

    assert len(chosen) == 1


def test_new_sessions_spread_evenly() -> None:
    bindings = SessionBindings()
    chosen = [bindings.choose(f"s{i}", replicas("a", "b", "c")) for i in range(300)]

    assert [chosen.count(name) for name in "abc"] == [100, 100, 100]


def test_joining_replica_moves_nobody() -> None:
    bindings = SessionBindings()
    before = {f"s{i}": bindings.choose(f"s{i}", replicas("a", "b")) for i in range(50)}

    after = {s: bindings.choose(s, replicas("a", "b", "c")) for s in before}

    assert after == before


def test_only_sessions_of_a_lost_replica_move() -> None:
    bindings = SessionBindings()
    before = {f"s{i}": bindings.choose(f"s{i}", replicas("a", "b", "c")) for i in range(60)}

    bindings.retain(["a", "c"])
    after = {s: bindings.choose(s, replicas("a", "c")) for s in before}

    assert {s for s in before if after[s] != before[s]} == {
        s for s, replica in before.items() if replica == "b"
    }
    assert sorted([list(after.values()).count(name) for name in "ac"]) == [30, 30]


def test_owner_of_the_lease_wins_over_an_older_binding() -> None:
    bindings = SessionBindings()
    other = {"a": "b", "b": "a"}[bindings.choose("s", replicas("a", "b"))]

    assert bindings.choose("s", replicas("a", "b"), owner=other) == other
    assert bindings.choose("s", replicas("a", "b")) == other


def test_owner_that_is_gone_is_ignored() -> None:
    bindings = SessionBindings()

    assert bindings.choose("s", replicas("a"), owner="gone") == "a"


def test_draining_replica_gets_no_new_session() -> None:
    bindings = SessionBindings()
    candidates = {"a": Candidate("a", is_draining=True), "b": Candidate("b", sessions=50)}

    assert bindings.choose("s", candidates) == "b"


def test_reported_sessions_count_as_load() -> None:
    bindings = SessionBindings()
    candidates = {"a": Candidate("a", sessions=3), "b": Candidate("b", sessions=1)}

    assert bindings.choose("s", candidates) == "b"


def test_least_recently_used_binding_is_forgotten() -> None:
    bindings = SessionBindings(max_sessions=2)
    bindings.choose("s1", replicas("a"))
    bindings.choose("s2", replicas("b"))
    bindings.choose("s1", replicas("a", "b"))
    bindings.choose("s3", replicas("b"))

    # s2 was forgotten, so it is placed anew, on the replica with fewer sessions
    assert bindings.choose("s1", replicas("a", "b")) == "a"
    assert bindings.choose("s2", {"a": Candidate("a"), "b": Candidate("b", sessions=9)}) == "a"
