"""What clients were told, against what is there in the end. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.percentiles import percentile
from chaos.schedule import Fault


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fault.

    Attributes:
        recovery_s: From its beginning (of a partition from its end) until every session that it
            hit had media of after then in its context, or (Api) until a question was answered;
            None: not within the limit.
        wrong_answers: Known-answer questions before and after it that were not answered right.
    """

    fault: Fault
    recovery_s: float | None
    wrong_answers: int


@dataclass(frozen=True, slots=True)
class Account:
    """One session at the end: indices of the chunks that its watcher was told, and of its log."""

    session_id: str
    told: Sequence[int]
    logged: Sequence[int]
    num_dropped: int = 0

    @property
    def lost(self) -> list[int]:
        """Chunks that were acknowledged and are not there."""
        return sorted(set(self.told) - set(self.logged))

    @property
    def told_twice(self) -> int:
        return len(self.told) - len(set(self.told))


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole run."""

    seed: int
    outcomes: Sequence[Outcome]
    accounts: Sequence[Account]

    @property
    def is_ok(self) -> bool:
        """Nothing was lost, every answer was right, everything recovered."""
        return (
            bool(self.outcomes)
            and not any(account.lost or account.told_twice for account in self.accounts)
            and all(account.told for account in self.accounts)
            and not any(one.wrong_answers or one.recovery_s is None for one in self.outcomes)
        )

    def as_json(self) -> dict[str, Any]:
        """The run's last line."""
        return {
            "ok": self.is_ok,
            "seed": self.seed,
            "faults": len(self.outcomes),
            "sessions": len(self.accounts),
            "chunks_acknowledged": sum(len(set(account.told)) for account in self.accounts),
            "chunks_lost": sum(len(account.lost) for account in self.accounts),
            "chunks_told_twice": sum(account.told_twice for account in self.accounts),
            "chunks_dropped": sum(account.num_dropped for account in self.accounts),
            "wrong_answers": sum(one.wrong_answers for one in self.outcomes),
            **_recovery(self.outcomes),
            "by_fault": {name: _recovery(some) for name, some in self._by_fault().items()},
        }

    def as_text(self) -> str:
        """A row for each kind of fault."""
        rows = [f"{'fault':<20}{'times':>6}{'p50':>9}{'p95':>9}{'wrong':>7}"]
        for name, some in self._by_fault().items():
            times = _recovery(some)
            wrong = sum(one.wrong_answers for one in some)
            p50, p95 = (_seconds(times[key]) for key in ("recovery_p50_s", "recovery_p95_s"))
            rows.append(f"{name:<20}{len(some):>6}{p50:>9}{p95:>9}{wrong:>7}")
        told = sum(len(account.told) for account in self.accounts)
        lost = {a.session_id: a.lost for a in self.accounts if a.lost}
        rows.append(f"{told} chunks acknowledged, lost: {lost or 'none'}")
        return "\n".join(rows)

    def _by_fault(self) -> Mapping[str, list[Outcome]]:
        groups: dict[str, list[Outcome]] = {}
        for one in sorted(self.outcomes, key=lambda one: str(one.fault)):
            groups.setdefault(str(one.fault), []).append(one)
        return groups


def _recovery(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    times_s = [one.recovery_s for one in outcomes if one.recovery_s is not None]
    return {
        "recovery_p50_s": round(percentile(times_s, 0.5), 2) if times_s else None,
        "recovery_p95_s": round(percentile(times_s, 0.95), 2) if times_s else None,
        "not_recovered": len(outcomes) - len(times_s),
    }


def _seconds(value_s: float | None) -> str:
    return "-" if value_s is None else f"{value_s:.1f} s"


__all__ = ["Account", "Ledger", "Outcome"]
