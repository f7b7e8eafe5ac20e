"""The tool that tests the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools.mutation import __main__ as command
from tools.mutation import choice
from tools.mutation.calls import OURS
from tools.mutation.mutants import mutants
from tools.mutation.results import Results, version_of

SOURCE = '''
LIMIT: int = 10
CODE = "slow_down"
T = TypeVar("T")

class Door:
    """Opens."""

    def opens(self, age: int = 18) -> bool:
        """1 < 2 in words is no code."""
        log.warning("%d", age + 1)
        self.ring("a long way")
        return age >= 18 and not self.locked
'''


def test_a_mutant_is_named_by_its_function_and_has_one_fault() -> None:
    found = {each.name: each for each in mutants(SOURCE)}
    assert {name: each.is_literal for name, each in found.items()} == {
        "<module>: 10 -> 11": True,
        "<module>: 'slow_down' -> 'slow_downx'": True,
        "Door.opens: 18 -> 19": True,
        "Door.opens: 18 -> 19 #2": False,
        "Door.opens: self.ring('a long way') -> pass": False,
        "Door.opens: return age >= 18 and (not self.locked) -> return None": False,
        "Door.opens: age >= 18 and (not self.locked) -> age >= 18 or not self.locked": False,
        "Door.opens: age >= 18 -> age > 18": False,
        "Door.opens: not self.locked -> self.locked": False,
    }
    planted = found["Door.opens: age >= 18 -> age > 18"]
    assert planted.line == 13
    assert "age > 18 and (not self.locked)" in planted.source
    assert "LIMIT: int = 10" in planted.source


SMALL = "def f(n):\n    return n > 3\n"
ROUND = {"files": ["test_small.py"], "options": [], "tests": [], "slow": False}


@pytest.mark.parametrize(
    ("source", "limit", "state", "by"),
    [
        ("def f(n):\n    return n > 4\n", 300, "caught", "test_small.py::test_f"),
        ("def f(n):\n    return n > 3.5\n", 300, "lives", ""),
        ("def f(n):\n    while True: pass\n", 5, "hung", "test_small.py"),
        ("no Python\n", 300, "caught", "test_small.py"),
    ],
)
def test_a_mutant_is_noticed_or_lives_and_the_file_is_as_before(
    tmp_path: Path, source: str, limit: float, state: str, by: str
) -> None:
    order = {"module": "small", "source": source, "rounds": [{**ROUND, "limit": limit}]}
    (told,) = run_small(tmp_path, [order])
    assert (told["state"], told["by"]) == (state, by)
    assert (tmp_path / "small.py").read_text() == SMALL


def test_what_was_learned_chooses_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what fails without a mutant is none of them."""
    (told,) = run_small(tmp_path, [{"look": "test_small.py", "options": []}], package="nas_server")
    assert told["callers"] == {
        "nas_server.small:f": ["test_small.py::test_f", "test_small.py::test_g"]
    }
    assert told["failed"] == ["test_small.py::test_g"]
    monkeypatch.setattr(choice, "ROOT", tmp_path)
    calls = choice.Calls(tmp_path / "calls")
    calls.learn("test_small.py", told)
    assert calls.is_known("test_small.py")
    mutant = next(each for each in mutants(SMALL) if each.name == "f: n > 3 -> n >= 3")
    (chosen,) = choice.rounds_of("nas_server.small", mutant, calls, 60.0, with_slow=False)
    assert (chosen["files"], chosen["tests"]) == (["test_small.py"], ["test_small.py::test_f"])
    (tmp_path / "test_small.py").write_text("changed")
    assert not calls.is_known("test_small.py")


def run_small(
    folder: Path, orders: list[dict[str, Any]], package: str = ""
) -> list[dict[str, Any]]:
    """Have a process do something with a module of one line and its tests."""
    (folder / package).mkdir(exist_ok=True)
    (folder / package / "__init__.py").touch()
    (folder / package / "small.py").write_text(SMALL)
    (folder / "tests" / "support").mkdir(parents=True)
    (folder / "tests" / "support" / "selection.py").write_text("why_not = lambda item: ''")
    (folder / "test_small.py").write_text(
        f"from {f'{package}.' if package else ''}small import f\n"
        "def test_f():\n    assert f(4)\n    assert not f(3)\n"
        "def test_g():\n    assert f(3)\n"
        if package
        else "from small import f\ndef test_f():\n    assert f(4)\n    assert not f(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tools.mutation.run"],
        input="".join(f"{json.dumps(order)}\n" for order in orders),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(command.ROOT)])},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_results_are_kept_and_hold_for_the_module_as_it_was(tmp_path: Path) -> None:
    every = list(mutants(SMALL))
    version = version_of(SMALL)
    for state in ("lives", "caught"):
        Results(tmp_path / "r").keep("small", every[0], version, {"state": state, "slow": True})
    Results(tmp_path / "r").keep("small", every[1], version, {"state": "lives"})
    known = {"small": {every[1].name: "the same"}}
    again = Results(tmp_path / "r")
    row = again.row("small", version, every, known)
    assert {name: value for name, value in row.items() if name != "module"} == {
        "mutants": 3,
        "tried": 2,
        "caught": 1,
        "slow": 1,
        "hung": 0,
        "before": 2,
        "lives": 1,
        "explained": 1,
    }
    assert again.state("small", every[0].name, version_of("other")) is None


def test_every_module_that_ships_has_mutants_and_tests_that_are_there() -> None:
    names = list(command.modules())
    assert {name.partition(".")[0] for name in names} == set(OURS)
    told = [*choice.POLICIES.values(), *(f for some in choice.ELSEWHERE.values() for f in some)]
    assert [each for each in told if not (command.ROOT / each).is_file()] == []


def test_every_reason_is_for_a_mutant_that_there_is() -> None:
    known = tomllib.loads(command.SURVIVORS.read_text())
    gone = {
        (module, name)
        for module, reasons in known.items()
        for name in reasons.keys() - {each.name for each in mutants(command._source(module))}
    }
    assert gone == set()
