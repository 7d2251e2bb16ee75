"""What a check found: how it stands, and what to do. Knows nothing about how checks work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clients.cli.console import Console
from clients.sdk.codec import encode

Level = Literal["ok", "warn", "fail"]
_STYLES: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


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


def show(console: Console, finding: Finding) -> None:
    """One line, and one more for what to do."""
    mark = f"{finding.level:<4}"
    console.marked(mark, _STYLES[finding.level], f"  {finding.check:<11}  {finding.message}")
    if finding.advice:
        console.result(f"{'':<17}  -> {finding.advice}")


def show_json(console: Console, findings: Sequence[Finding]) -> None:
    console.json({"is_healthy": is_healthy(findings), "checks": encode(list(findings))})


def is_healthy(findings: Sequence[Finding]) -> bool:
    """No check failed."""
    return not any(finding.level == "fail" for finding in findings)


__all__ = ["Finding", "Level", "is_healthy", "show", "show_json"]
