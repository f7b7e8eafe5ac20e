"""`scripts/test` itself: what it runs, what it shows, how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools import check
from tools.bootstrap import ROOT
from tools.check import Step, main


def step(name: str, status: int, said: str = "") -> Step:
    return Step(
        name, f"about {name}", ("python", "-c", f"print({said!r}); raise SystemExit({status})")
    )


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The pytest arguments that would have been used, instead of a run inside this one."""
    runs: list[list[str]] = []

    def run(arguments: list[str]) -> bool:
        runs.append(arguments)
        return False

    monkeypatch.setattr(check, "_test", run)
    return runs


def test_every_step_runs_and_one_failure_is_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tests: list[list[str]]
) -> None:
    steps = (step("one", 0), step("two", 3, "what is wrong"), step("three", 0, "not shown"))
    monkeypatch.setattr(check, "STEPS", steps)
    assert main(["-x"]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines() if "about" in line] == [
        ["ok", "one"],
        ["FAIL", "two"],
        ["ok", "three"],
    ]
    assert "     what is wrong\n" in out
    assert "not shown" not in out
    assert "3 checks, 1 failed (two), " in out
    assert err == "failed: two\n"
    assert tests == [["-x"]]


def test_steps_can_be_picked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tests: list[list[str]]
) -> None:
    monkeypatch.setattr(check, "STEPS", (step("one", 0), step("two", 1)))
    assert main(["--only", "one"]) == 0
    assert tests == []
    assert main(["--only", "two"]) == 1
    assert main(["--only", "tests", "-k", "fire"]) == 0
    assert tests == [["-k", "fire"]]
    with pytest.raises(SystemExit):
        main(["--only", "three"])


def test_every_named_check_is_there() -> None:
    names = [step.name for step in check.STEPS]
    assert names[:5] == ["format", "lint", "shell", "types", "imports"]
    assert names[5:] == ["regen", "contract", "diff", "surface", "docs"]
    assert all(len(f"FAIL {step.name:9} 999.9 s  {step.about}") < 80 for step in check.STEPS)


def test_ci_calls_it_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert [line for line in lines[1:] if line] == [
        'exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/test"'
    ]


def test_the_last_line_is_pytest_s_own(tmp_path: Path) -> None:
    """Whoever reads the end of the output finds how many tests ran."""
    file = tmp_path / "test_two.py"
    file.write_text("def test_one(): pass\ndef test_two(): pass\n")
    options = ["-c", "/dev/null", "-p", "no:cacheprovider", "-q", str(file)]
    command = [sys.executable, "-m", "tools.check", "--only", "tests", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 passed in ")


SCRIPTS = [file for file in (ROOT / "scripts").iterdir() if file.suffix != ".sh"]


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_scripts_can_be_run_and_stop_at_errors(file: Path) -> None:
    assert file.stat().st_mode & 0o111
    assert "\nset -euo pipefail\n" in file.read_text()
    assert f"scripts/{file.name}" in check.SCRIPTS
