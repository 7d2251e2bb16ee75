"""What a check found: how it stands, and what to do. Knows nothing about how checks work."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        level: "ok", "warn" (it works, but not in all cases) or "fail".
        check: What was checked, a word or two.
        message: How it stands.
        advice: What to do; "" where nothing needs doing.
    """

    level: Level
    check: str
    message: str
    advice: str = ""

    def as_text(self) -> str:
        """One line, and one more for what to do."""
        line = f"{self.level:<4}  {self.check:<11}  {self.message}"
        return f"{line}\n{'':<17}  -> {self.advice}" if self.advice else line


def is_healthy(findings: Iterable[Finding]) -> bool:
    """No check failed."""
    return not any(finding.level == "fail" for finding in findings)


__all__ = ["Finding", "Level", "is_healthy"]
