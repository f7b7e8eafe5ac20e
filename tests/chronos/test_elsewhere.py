"""Every command of `chronos` from a Python without hermes, as where ours is in one of its own."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chronos_plugin.cli import command_line
from tests.support.stub_hermes import StubEnvironment

ENDS = {"tail": ["--no-follow"]}


def commands() -> dict[str, list[str]]:
    """Each with what it needs."""
    [parsers] = (a for a in command_line()._actions if isinstance(a, argparse._SubParsersAction))
    return {
        name: [
            name,
            *(word for a in each._actions if a.required for word in (a.option_strings[0], "none")),
            *ENDS.get(name, []),
        ]
        for name, each in parsers.choices.items()
    }


COMMANDS = commands()
HOME = [name for name in COMMANDS if name not in ("install", "uninstall")]


@pytest.fixture
def hermes(tmp_path: Path) -> StubEnvironment:
    return StubEnvironment(tmp_path / "env")


def line(name: str, path: str) -> str:
    """The one line that a command which comes to nothing says, or its one finding."""
    done = subprocess.run(
        [sys.executable, "-m", "chronos_plugin.cli", *COMMANDS[name]],
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    if name == "doctor":
        assert done.stderr == ""
        assert done.stdout.endswith("\n1 problem\n")
        return " ".join(done.stdout.split())
    assert done.stdout == ""
    [said] = done.stderr.splitlines()
    assert said.startswith(f"chronos {name}: ")
    return said


@pytest.mark.parametrize("name", COMMANDS)
def test_without_any_hermes_it_says_what_to_do(name: str) -> None:
    assert "there is no hermes on the PATH; name it with --hermes PATH" in line(name, os.defpath)


@pytest.mark.parametrize("name", HOME)
def test_it_runs_in_the_python_of_the_hermes_on_the_path(
    name: str, hermes: StubEnvironment
) -> None:
    lacks = "this hermes has no cron.jobs; hermes-agent 0.18.2 or later is needed"
    assert lacks in line(name, f"{hermes.hermes.parent}:{os.defpath}")


@pytest.mark.parametrize("name", HOME)
def test_it_says_how_to_add_chronos_to_that_python(name: str, hermes: StubEnvironment) -> None:
    hermes.ours.unlink()
    said = line(name, f"{hermes.hermes.parent}:{os.defpath}")
    assert "does not have chronos yet; run: " in said
