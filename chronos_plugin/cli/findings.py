"""What a check has found, and how that is told."""

from __future__ import annotations

from typing import Literal, NamedTuple

from .formatting import paragraph
from .problems import without_user_info

State = Literal["ok", "warning", "problem", "skipped"]
_INDENT = " " * 27


class Finding(NamedTuple):
    """The answer of one check."""

    check: str
    state: State
    reason: str
    fix: str = ""
    """What a person can do about it; empty when nothing is to be done."""

    def told(self, columns: int) -> str:
        """For a person: a few lines."""
        first = f"{self.state:<8} {self.check:<17} "
        lines = [paragraph(self.reason, columns, first, _INDENT)]
        if self.fix:
            lines.append(paragraph(self.fix, columns, f"{_INDENT}-> ", f"{_INDENT}   "))
        return "\n".join(lines)


def ok(check: str, reason: str) -> Finding:
    """Nothing to do."""
    return _finding(check, "ok", reason)


def warning(check: str, reason: str, fix: str = "") -> Finding:
    """Jobs run, but something is not as it should be."""
    return _finding(check, "warning", reason, fix)


def problem(check: str, reason: str, fix: str) -> Finding:
    """Jobs do not run, or will not."""
    return _finding(check, "problem", reason, fix)


def skipped(check: str, why: str) -> Finding:
    """Not looked at, because another check must be well first."""
    return _finding(check, "skipped", why)


def _finding(check: str, state: State, reason: str, fix: str = "") -> Finding:
    return Finding(check, state, without_user_info(reason), without_user_info(fix))
