"""A hermes that lacks what Chronos works with: every command says so in one line."""

import json
from pathlib import Path

from chronos_plugin.cli.hermes_env import _NEEDED
from tests.hermes.conftest import AgentMaker
from tests.support.hermes_env import MAIN, HermesEnvironment, run

TRY = """
import contextlib, importlib, io, json, sys
from chronos_plugin.cli import hermes_env, main

LOGIN = ["login", "--token-file", "none"]
COMMANDS = (["doctor", "--json"], ["status"], ["reconcile"], ["disarm"], ["tail"], LOGIN)
said = []

def attempt(lacking):
    for command in COMMANDS:
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            status = main(command)
        said.append([lacking, command[0], status, written.getvalue()])

for name, members in hermes_env._NEEDED.items():
    module = importlib.import_module(name)
    sys.modules[name] = None
    attempt(name)
    sys.modules[name] = module
    for member in members:
        kept = getattr(module, member)
        delattr(module, member)
        attempt(f"{name}.{member}")
        setattr(module, member, kept)
print(json.dumps(said))
"""


def test_every_command_says_what_is_lacking(new_agent: AgentMaker) -> None:
    agent = new_agent()
    said = json.loads(agent.hermes.python(TRY).splitlines()[-1])
    assert len(said) == 6 * sum(1 + len(members) for members in _NEEDED.values())
    for lacking, command, status, text in said:
        assert status == 1
        line = f"this hermes has no {lacking}; hermes-agent 0.18.2 or later is needed"
        assert line in text, (command, text)
        assert command == "doctor" or text == f"chronos {command}: {line}\n"


def test_install_refuses_it(tmp_path: Path) -> None:
    made = HermesEnvironment.create(MAIN, tmp_path / "env")
    hidden = 'import sys; sys.modules["cron.scheduler_provider"] = None\n'
    (made.site_packages / "hidden.pth").write_text(hidden)
    done = made.chronos("install", "--hermes", str(made.hermes))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "cannot load cron providers; hermes-agent 0.18.2 or later is needed" in line
    assert not list(made.site_packages.glob("*chronos_hook*"))
    environment = {"PATH": f"{made.prefix / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    doctor = run([made.python, "-P", "-m", "chronos_plugin.cli", "doctor"], environment)
    assert doctor.returncode == 1
    assert "this hermes has no cron.scheduler_provider" in doctor.stdout
    assert doctor.stdout.count("problem ") == 1
