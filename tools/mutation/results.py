"""What became of mutants: a line of JSON for every attempt, never changed afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.mutation.mutants import Mutant

COLUMNS: Final = ("mutants", "tried", "caught", "slow", "hung", "before", "lives", "explained")
"""Of each module. `slow`: only what is slow noticed; `before`: lived when tried first."""


def version_of(source: str) -> str:
    """What a result holds for: the module as it was."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


class Results:
    """The attempts of all runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._states: dict[tuple[str, str, str], list[str]] = {}
        for line in file.read_text().splitlines() if file.exists() else ():
            self._add(json.loads(line))

    def _add(self, one: Mapping[str, Any]) -> None:
        states = self._states.setdefault((one["module"], one["name"], one["version"]), [])
        states.append("slow" if one["state"] == "caught" and one.get("slow") else one["state"])

    def keep(self, module: str, mutant: Mutant, version: str, told: Mapping[str, Any]) -> None:
        """Write one down at once."""
        one = {
            "module": module,
            "name": mutant.name,
            "line": mutant.line,
            "version": version,
            "literal": mutant.is_literal,
            **told,
        }
        with self._file.open("a") as out:
            out.write(json.dumps(one) + "\n")
        self._add(one)

    def state(self, module: str, name: str, version: str) -> str | None:
        """The last word on a mutant: caught, slow, hung, lives; None if it was not tried."""
        states = self._states.get((module, name, version))
        return states[-1] if states else None

    def row(
        self,
        module: str,
        version: str,
        every: Sequence[Mutant],
        known: Mapping[str, Mapping[str, str]],
    ) -> dict[str, Any]:
        """The numbers of a module."""
        tried = {
            each.name: states
            for each in every
            if (states := self._states.get((module, each.name, version)))
        }
        last = [states[-1] for states in tried.values()]
        lives = {name for name, states in tried.items() if states[-1] == "lives"}
        return {
            "module": module,
            "mutants": len(every),
            "tried": len(tried),
            "caught": len(last) - len(lives),
            "slow": last.count("slow"),
            "hung": last.count("hung"),
            "before": sum(states[0] == "lives" for states in tried.values()),
            "lives": len(lives),
            "explained": len(lives & known.get(module, {}).keys()),
        }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Show the numbers of the modules that were tried, and their sum."""
    widths = {name: max(5, len(name)) + 1 for name in COLUMNS}
    width = 79 - sum(widths.values())
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in COLUMNS}
    print(" " * width + "".join(f"{name:>{widths[name]}}" for name in COLUMNS))
    for row in [*(row for row in rows if row["tried"]), {"module": "all", **total}]:
        name = row["module"]
        if len(name) > width:
            print(name)
            name = ""
        print(f"{name:<{width}}" + "".join(f"{row[each]:>{widths[each]}}" for each in COLUMNS))
