"""Which tests a mutant meets, and in which order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.mutation.mutants import Mutant

ROOT: Final = Path(__file__).parents[2]
POLICIES: Final = {
    "nas_sdk": "tests/sdk/test_policy.py",
    "nas_server": "tests/server/test_policy.py",
    "nas_conformance": "tests/conformance/test_policy.py",
    "chronos_plugin": "tests/chronos/test_policy.py",
}
"""The tests that state every number of a package."""
PLACES: Final = ("sdk", "server", "conformance", "chronos", "security")
"""Where tests are that call what ships in their own process."""
ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "nas_sdk._transport": ("tests/sdk/transport/test_interrupted.py",),
    "nas_server": ("tests/server/test_kill.py",),
    "nas_server.page": ("tests/server/page/test_browser.py",),
    "nas_conformance": ("tests/conformance/test_planted.py", "tests/conformance/test_reference.py"),
    "chronos_plugin": ("tests/hermes/test_fires.py", "tests/hermes/test_doctor.py"),
    "chronos_plugin.cli": (
        "tests/hermes/test_doctor.py",
        "tests/hermes/test_doctor_config.py",
        "tests/hermes/test_status.py",
        "tests/hermes/test_login.py",
    ),
    "chronos_plugin.cli.fire_job": ("tests/hermes/test_doctor_fire.py",),
    "chronos_plugin.cli.fire_subject": ("tests/hermes/test_doctor_fire.py",),
    "chronos_plugin.cli.install": ("tests/hermes/test_doctor_fixes.py",),
    "chronos_plugin.cli.login": ("tests/hermes/test_login.py",),
    "chronos_plugin.cli.status": ("tests/hermes/test_status.py",),
    "chronos_plugin.cli.status_report": ("tests/hermes/test_status.py",),
    "chronos_plugin.cli.check_config": ("tests/hermes/test_doctor_config.py",),
}
"""By the longest name that fits: tests for `--slow`, that start programs of their own."""
AT_ONCE: Final = 3
"""Files of tests that are loaded at a time."""
LEAST_S: Final = 180.0
SLOWER: Final = 10
"""A mutant that takes so many times as long as no fault has been noticed."""
SLOW_LIMIT_S: Final = 1200.0


class Calls:
    """Which test calls which function: a file of JSON for each file of tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, dict[str, Any]] = {}

    def is_known(self, file: str) -> bool:
        """Whether it was learned, of the file as it is."""
        if file not in self._known and (kept := self._place(file)).exists():
            self._known[file] = json.loads(kept.read_text())
        return self._known.get(file, {}).get("version") == _version(file)

    def learn(self, file: str, told: dict[str, Any]) -> None:
        """Keep what a file of tests calls."""
        self._known[file] = {**told, "version": _version(file)}
        self._place(file).write_text(json.dumps(self._known[file]))

    def foreign(self) -> list[str]:
        """The modules that tests import and that are not ours."""
        return list(dict.fromkeys(name for one in self._known.values() for name in one["modules"]))

    def of(self, module: str, function: str | None) -> Iterator[tuple[str, dict[str, float]]]:
        """The tests of each file, with their seconds, that call a function, or any of a module."""
        for file, one in self._known.items():
            tests: set[str] = set()
            for name, callers in one["callers"].items():
                where, _, what = name.partition(":")
                if where == module and function in (None, what):
                    tests.update(callers)
            if mine := {t: one["tests"].get(t, 0.0) for t in tests - set(one["failed"])}:
                yield file, mine

    def is_called(self, module: str, function: str) -> bool:
        """Whether anything calls a function."""
        return any(one["callers"].get(f"{module}:{function}") for one in self._known.values())

    def is_slow(self, file: str, test: str) -> bool:
        """Whether a test is none of the fast ones."""
        return test in self._known[file]["slow"]

    def _place(self, file: str) -> Path:
        return self._folder / f"{file.replace('/', '.')}.json"


def _version(file: str) -> str:
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:12]


def files() -> list[str]:
    """The files of tests of which it can be known what they call."""
    left_out = {each for some in ELSEWHERE.values() for each in some}
    found = (path for place in PLACES for path in (ROOT / "tests" / place).rglob("test_*.py"))
    names = sorted(str(path.relative_to(ROOT)) for path in found)
    return [name for name in names if name not in left_out]


def rounds_of(
    module: str, mutant: Mutant, calls: Calls, seconds: float, with_slow: bool
) -> list[dict[str, Any]]:
    """What to run for a mutant: the module's own tests first, then what takes least."""
    function: str | None = mutant.name.partition(":")[0]
    if mutant.is_literal and (function is None or not calls.is_called(module, function)):
        function = None  # what is run at an import is called by no test
    named = f"test_{module.rpartition('.')[2].lstrip('_')}.py"
    policy = POLICIES[module.partition(".")[0]]
    planned = [_round([policy], [], LEAST_S)] if mutant.is_literal else []
    callers = dict(calls.of(module, function))
    for are_slow in (False, True):
        left = seconds
        ranked = []
        for file, seconds_of in callers.items():
            tests = [test for test in seconds_of if calls.is_slow(file, test) is are_slow]
            tests.sort(key=seconds_of.__getitem__)
            took = sum(seconds_of[test] for test in tests)
            ranked.append((not file.endswith(named), took, file, tests))
        batch: list[tuple[str, list[str], float]] = []
        for _, _, file, tests in sorted(ranked):
            mine = []
            for test in tests:
                left -= callers[file][test]
                if left >= 0:
                    mine.append(test)
            if mine:
                batch.append((file, mine, sum(callers[file][test] for test in mine)))
        for at in range(0, len(batch), AT_ONCE):
            part = batch[at : at + AT_ONCE]
            planned.append(
                _round(
                    [file for file, _, _ in part],
                    [test for _, tests, _ in part for test in tests],
                    LEAST_S + SLOWER * sum(took for _, _, took in part),
                    are_slow,
                )
            )
    if with_slow:
        fits = [name for name in ELSEWHERE if f"{module}.".startswith(f"{name}.")]
        if fits:
            planned += [_round([f], [], SLOW_LIMIT_S, True) for f in ELSEWHERE[max(fits, key=len)]]
    return planned


def _round(
    files: Sequence[str], tests: Sequence[str], limit: float, slow: bool = False
) -> dict[str, Any]:
    return {"files": files, "tests": tests, "options": [], "limit": limit, "slow": slow}
