"""The tool that tests the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutation import __main__ as command
from tools.mutation.mutants import mutants

SOURCE = '''
LIMIT: int = 10

class Door:
    """Opens."""

    def opens(self, age: int = 18) -> bool:
        """1 < 2 in words is no code."""
        log.warning("%d", age + 1)
        self.ring()
        return age >= 18 and not self.locked
'''


def test_a_mutant_is_named_by_its_function_and_has_one_fault() -> None:
    found = {each.name: each for each in mutants(SOURCE)}
    assert set(found) == {
        "<module>: 10 -> 11",
        "Door.opens: 18 -> 19",
        "Door.opens: 18 -> 19 #2",
        "Door.opens: self.ring() -> pass",
        "Door.opens: return age >= 18 and (not self.locked) -> return None",
        "Door.opens: age >= 18 and (not self.locked) -> age >= 18 or not self.locked",
        "Door.opens: age >= 18 -> age > 18",
        "Door.opens: not self.locked -> self.locked",
    }
    planted = found["Door.opens: age >= 18 -> age > 18"]
    assert planted.line == 11
    assert "age > 18 and (not self.locked)" in planted.source
    assert "LIMIT: int = 10" in planted.source


@pytest.mark.parametrize(("refused", "alive"), [(2, ["f: n > 3 -> n >= 3"]), (3, [])])
def test_what_no_test_notices_survives(tmp_path: Path, refused: int, alive: list[str]) -> None:
    done = run_small(tmp_path, f"    assert f(4)\n    assert not f({refused})\n")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [name for name, _ in found["alive"]] == alive
    assert found["tried"] == 3


def test_a_module_that_no_test_loads_is_told_of(tmp_path: Path) -> None:
    done = run_small(tmp_path, "    pass\n", imported="f = abs")
    assert json.loads(done.stdout)["alive"] == [["<module>: raise ImportError", 1]]


def test_tests_that_fail_without_a_mutant_are_shown_to_the_end(tmp_path: Path) -> None:
    done = run_small(tmp_path, "    assert f(3), 'not so small'\n")
    assert done.returncode == 1
    assert "the tests of small fail without a mutant" in done.stderr
    assert "AssertionError: not so small" in done.stderr
    assert "FAILED test_small.py::test_f" in done.stderr


def run_small(
    folder: Path, test: str, imported: str = "from small import f"
) -> subprocess.CompletedProcess[str]:
    """Examine a module of one line with a test of these."""
    (folder / "small.py").write_text("def f(n):\n    return n > 3\n")
    (folder / "test_small.py").write_text(f"{imported}\ndef test_f():\n{test}")
    order = {"module": "small", "tests": ["test_small.py"], "scratch": ".", "part": [0, 1]}
    return subprocess.run(
        [sys.executable, "-m", "tools.mutation.run", json.dumps(order)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(command.ROOT), str(folder)])},
        check=False,
        capture_output=True,
        text=True,
    )


def test_survivors_are_explained_or_told_of() -> None:
    found = command.Found(9, {"f: a -> b": 3, "f: c -> d": 5})
    told = list(command._unexplained("pack.age", found, {"f: c -> d": "same", "g: x -> y": "no"}))
    assert told == [
        "survives: pack/age.py:3 f: a -> b",
        "is noticed now, take it out of survivors.toml: g: x -> y",
    ]


def test_every_module_that_ships_has_tests_that_are_there() -> None:
    names = list(command.modules())
    assert {name.partition(".")[0] for name in names} == set(command.PACKAGES)
    for name in names:
        tests = [each for each in command.tests_of(name) if not each.startswith("--")]
        assert tests
        assert all((command.ROOT / each).exists() for each in tests)
