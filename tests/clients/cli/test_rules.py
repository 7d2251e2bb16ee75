from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def test_rules_are_added_listed_and_removed(service: RunningService, run: Run) -> None:
    service.fake.create()

    added = run("rules", "add", "s0", "Did you hear a beep?", "--threshold", "0.7")
    listed = run("rules", "list", "s0")
    removed = run("rules", "remove", "s0", "r0")

    assert (added.code, added.out) == (0, "r0\n")
    assert "omnisift watch s0" in added.err
    assert listed.out.splitlines()[1].startswith("r0    Did you hear a beep?  ")
    assert "0.7" in listed.out
    assert (removed.code, removed.err) == (0, "rule r0 is removed\n")
    assert "omnisift rules add" in run("rules", "list", "s0").err


def test_rules_speak_json(service: RunningService, run: Run) -> None:
    service.fake.create()

    (added,) = run("rules", "add", "s0", "c", "--webhook", "https://h.test/", "--json").json
    (listed,) = run("rules", "list", "s0", "--json").json
    (removed,) = run("rules", "remove", "s0", "r0", "--json").json

    assert (added["id"], added["webhook_secret"]) == ("r0", "whsec_fake")
    assert [rule["condition"] for rule in listed] == ["c"]
    assert removed == {"rule_id": "r0", "status": "removed"}


def test_secret_of_a_webhook_is_told_once(service: RunningService, run: Run) -> None:
    service.fake.create()

    added = run("rules", "add", "s0", "c", "--webhook", "https://h.test/")

    assert "whsec_fake" in added.err
    assert "whsec_fake" not in added.out


def test_unknown_rule_is_not_found(service: RunningService, run: Run) -> None:
    service.fake.create()

    assert run("rules", "remove", "s0", "r9").code == 4
