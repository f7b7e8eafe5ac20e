"""`chronos doctor` on a real hermes, and what it said."""

import json
import subprocess

from tests.support.agents import Agent
from tests.support.hermes_env import run
from tests.support.hermes_host import Hermes


class Answers:
    """What `chronos doctor` said: its exit status, and what each check found."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        assert "Traceback" not in done.stderr, done.stderr
        self.status = done.returncode
        self.found: list[dict[str, str]] = json.loads(done.stdout)

    def states(self, state: str) -> set[str]:
        return {each["check"] for each in self.found if each["state"] == state}

    def all_told(self) -> str:
        """What is not well, a line each."""
        return "\n".join(str(each) for each in self.found if each["state"] != "ok")

    def told(self, check: str, state: str = "problem") -> str:
        """The reasons and remedies of a check that is in that state; each has a remedy."""
        told = [each for each in self.found if (each["check"], each["state"]) == (check, state)]
        assert told, self.found
        assert state == "ok" or all(each["fix"] for each in told)
        return "\n".join(f"{each['reason']} -> {each['fix']}" for each in told)


def doctor(hermes: Hermes, *arguments: str, **variables: str) -> Answers:
    python = str(hermes.environment.python)
    command = [python, "-P", "-m", "chronos_plugin.cli", "doctor", "--json"]
    return Answers(run([*command, *arguments], hermes.variables(**variables)))


def configure(agent: Agent, **values: object) -> None:
    for key, value in values.items():
        agent.rewrite("config.yaml", f"cron.chronos.{key}", value)
