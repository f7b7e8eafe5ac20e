"""`chronos doctor --fire`: a job all the way on every generation of hermes, with a real NAS."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from chronos_plugin.cli.fire_job import STEPS
from chronos_plugin.serving_status import hold
from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.doctor import doctor
from tests.support.hermes_env import MAIN, VERSIONS, HermesEnvironment
from tests.support.hermes_host import eventually

REFUSES = """
import sys

class Planted:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in ("cron.scheduler_provider", "chronos_plugin.cli.fire_job"):
            return None
        others = [each for each in sys.meta_path if each is not Planted]
        spec = next(filter(None, (each.find_spec(name, path, target) for each in others)))
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            if name == "chronos_plugin.cli.fire_job":
                module.PATIENCE_SECONDS = 30.0
                return
            for hook in {"claim_fire", "fire_due"} & set(vars(module.CronScheduler)):
                def refuse(self, job_id, _hook=hook, **options):
                    raise TypeError(f"{_hook}() got an unexpected keyword argument")
                setattr(module.CronScheduler, hook, refuse)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Planted)
"""
"""A host whose base looks as if it took what it is given, and does not, and a doctor that waits
no longer for it than it has to."""


def leaves_nothing(agent: Agent, before: set[str]) -> None:
    home = agent.hermes.home
    assert set(home.jobs()) == before
    assert not list((home.hermes / "scripts").glob("chronos-doctor-*"))
    eventually(lambda: {id_ for id_ in agent.armed() if "watchdog" not in id_} == before, "removal")
    outputs = home.hermes / "cron" / "output"
    assert {each.name for each in outputs.glob("*")} <= before


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_all_the_way(version: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    kept = agent.hermes.create_job("kept", "every 1h")
    with agent.serving("gateway"):
        answers = doctor(agent.hermes, "--fire")
        assert not answers.states("problem"), answers.all_told()
        assert answers.states("ok") >= {*STEPS, "removed"}
        leaves_nothing(agent, {kept})


@pytest.mark.parametrize(
    ("version", "step", "said"),
    [(MAIN, "claimed", "hermes has not claimed it"), (VERSIONS[-1], "fired", "takes no fire")],
)
def test_a_host_that_refuses_the_claim(
    version: str, step: str, said: str, new_agent: AgentMaker, tmp_path: Path
) -> None:
    environment = HermesEnvironment.create(version, tmp_path / "env")
    environment.install_hook()
    (environment.site_packages / "planted_base.py").write_text(REFUSES)
    (environment.site_packages / "planted_base.pth").write_text("import planted_base\n")
    made = new_agent(version)
    agent = replace(made, hermes=replace(made.hermes, environment=environment))
    with agent.serving("gateway"):
        answers = doctor(agent.hermes, "--fire")
        assert said in answers.told(step)
        assert answers.states("problem") == {step}
        assert answers.states("skipped") == set(STEPS[STEPS.index(step) + 1 :])
        assert "got an unexpected keyword argument" in answers.told(step)
        leaves_nothing(agent, set())


def test_a_job_of_a_person_s(new_agent: AgentMaker) -> None:
    agent = new_agent()
    job = agent.hermes.create_job("mine", "every 1h")
    once = agent.hermes.create_job("once", "2099-01-01T00:00:00+00:00")
    with agent.serving("gateway"):
        assert "runs once" in doctor(agent.hermes, "--fire", once).told("job")
        assert "there is no job nothing" in doctor(agent.hermes, "--fire", "nothing").told("job")
        answers = doctor(agent.hermes, "--fire", "mine")
        assert not answers.states("problem"), answers.all_told()
        assert answers.states("ok") >= set(STEPS)
    assert agent.hermes.runs("mine") == 1
    assert set(agent.hermes.home.jobs()) == {job, once}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", ["job ", "armed "])
def test_it_is_removed_whatever_ends_it(
    number: signal.Signals, after: str, main_agent: Agent
) -> None:
    agent = main_agent
    python = str(agent.hermes.environment.python)
    command = [python, "-P", "-m", "chronos_plugin.cli", "doctor", "--fire"]
    with (
        agent.serving("gateway"),
        subprocess.Popen(
            command, env=agent.hermes.variables(), stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"ok       {after}"):
                process.send_signal(number)
                break
        process.stdout.read()
        assert process.wait(60) in (130, 128 + number)
        leaves_nothing(agent, set())


def test_what_a_killed_one_left_is_removed_by_the_next(main_agent: Agent) -> None:
    agent = main_agent
    # Whatever process has its id by now: nobody holds its script.
    left, running = (
        agent.hermes.create_job(f"chronos-doctor-{pid}", "every 1h")
        for pid in (os.getpid(), os.getppid())
    )
    (agent.hermes.home.hermes / "scripts").mkdir(exist_ok=True)
    held = hold(agent.hermes.home.hermes / "scripts" / f"chronos-doctor-{os.getppid()}.sh", "")
    try:
        with agent.serving("gateway"):
            assert not doctor(agent.hermes, "--fire").states("problem")
    finally:
        os.close(held)
    assert left not in agent.hermes.home.jobs()
    assert running in agent.hermes.home.jobs()
