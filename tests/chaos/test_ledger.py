from chaos.ledger import Account, Ledger, Outcome
from chaos.schedule import Part, kill

WELL = Account("s1", told=(0, 1, 2), logged=(0, 1, 2, 3))


def ledger(*outcomes: Outcome, accounts: tuple[Account, ...] = (WELL,)) -> Ledger:
    return Ledger(0, outcomes, accounts)


def outcome(recovery_s: float | None = 1.0, wrong_answers: int = 0) -> Outcome:
    return Outcome(kill(Part.LLM), recovery_s, wrong_answers)


def test_a_chunk_that_was_told_and_is_not_logged_is_lost() -> None:
    account = Account("s1", told=(0, 1, 2), logged=(0, 2))

    assert account.lost == [1]
    assert not ledger(outcome(), accounts=(account,)).is_ok


def test_a_chunk_that_is_logged_and_was_not_told_is_no_loss() -> None:
    assert WELL.lost == []
    assert ledger(outcome()).is_ok


def test_what_is_told_twice_is_wrong() -> None:
    account = Account("s1", told=(0, 1, 1), logged=(0, 1))

    assert account.told_twice == 1
    assert not ledger(outcome(), accounts=(account,)).is_ok


def test_a_wrong_answer_a_fault_for_ever_or_a_silent_session_is_not_ok() -> None:
    silent = Account("s2", told=(), logged=())

    assert not ledger(outcome(wrong_answers=1)).is_ok
    assert not ledger(outcome(recovery_s=None)).is_ok
    assert not ledger(outcome(), accounts=(WELL, silent)).is_ok
    assert not ledger().is_ok


def test_last_line_has_the_figures_of_the_whole_run_and_of_each_fault() -> None:
    slow = Outcome(kill(Part.INGEST), 4.0, 0)
    found = ledger(outcome(1.0), outcome(2.0), slow).as_json()

    assert found["faults"] == 3
    assert found["sessions"] == 1
    assert found["chunks_acknowledged"] == 3
    assert (found["recovery_p50_s"], found["recovery_p95_s"]) == (2.0, 4.0)
    assert found["by_fault"]["kill LLM"]["recovery_p95_s"] == 2.0


def test_table_has_a_row_for_each_kind_of_fault() -> None:
    text = ledger(outcome(), outcome(None)).as_text()

    assert "kill LLM" in text
    assert "3 chunks acknowledged, lost: none" in text
