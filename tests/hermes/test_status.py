"""`chronos status` and `chronos tail` beside a real hermes."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chronos_plugin.serving_status import ServingStatus
from nas_sdk import NasClient
from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.hermes_env import MAIN, HermesEnvironment, run
from tests.support.hermes_host import Hermes, eventually


def command(hermes: Hermes, *arguments: str) -> list[str]:
    return [str(hermes.environment.python), "-P", "-m", "chronos_plugin.cli", *arguments]


def chronos(hermes: Hermes, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = run(command(hermes, *arguments), hermes.variables())
    assert "Traceback" not in done.stderr
    return done


def jobs(agent: Agent) -> Mapping[str, Mapping[str, Any]]:
    """The jobs that `chronos status --json` tells of, by name."""
    told = json.loads(chronos(agent.hermes, "status", "--json").stdout)
    return {job["name"]: job for job in told["jobs"]}


@pytest.fixture(scope="module")
def fired(new_agent: AgentMaker) -> Agent:
    """An agent whose job `often` was fired by NAS, and whose others have their problems."""
    agent = new_agent()
    often = agent.hermes.create_job("often", "every 1h")
    with agent.serving("gateway"):
        agent.make_due(often, 1)
        assert chronos(agent.hermes, "reconcile").returncode == 0
        agent.await_runs("often", 1)
    names = ("a report with a name that is rather long", "forgotten", "paused")
    # Intervals, not times of day: `often` is the next to run whenever the test runs.
    made = {name: agent.hermes.create_job(name, "every 1d") for name in names}
    agent.hermes.cli("cron", "pause", made["paused"])
    with NasClient(agent.access.url, agent.access.token) as nas:
        nas.cancel(made["forgotten"])
        nas.provision(made["paused"], "2099-01-01T00:00:00Z", agent.callback.url)
        nas.provision("0123456789ab", "2099-01-01T00:00:00Z", agent.callback.url)
    return agent


def test_the_table(fired: Agent) -> None:
    done = chronos(fired.hermes, "status")
    head, *rows = done.stdout.splitlines()
    assert head.split("  ")[0] == "JOB"
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert re.search(
        r"^often +[0-9a-f]{12} +every .* +yes +(now|\d+ (s|min) ago) +\d+ s +-$", rows[0]
    )
    told = {row.split("  ")[0]: row.split()[-1] for row in rows if row and row[0] != "w"}
    assert told == {
        "often": "-",
        next(name for name in told if name.startswith("a rep")): "-",
        next(name for name in told if name.startswith("forg")): "missing",
        "paused": "over",
        "(no job)": "over",
    }
    assert rows[-1].startswith("watchdog: ")
    assert done.returncode == 1
    assert done.stderr == ""


def test_as_json(fired: Agent) -> None:
    told = jobs(fired)
    assert told["forgotten"]["problem"] == "missing"
    assert told["forgotten"]["armed"] is None
    assert told["paused"]["next_run"] is None
    often = told["often"]
    assert often["armed"] == often["next_run"] > often["last_fire"]
    assert 0 <= often["lateness"] < 60
    assert often["problem"] is None


def test_without_nas_the_jobs_are_told_all_the_same(new_agent: AgentMaker) -> None:
    agent = new_agent()
    agent.hermes.create_job("hourly", "every 1h")
    agent.rewrite("config.yaml", "cron.chronos.portal_url", "http://127.0.0.1:9")
    done = chronos(agent.hermes, "status")
    assert done.returncode == 1
    assert "what is armed is unknown: list_armed: " in done.stderr
    assert re.search(r"^hourly .* \?  ", done.stdout, re.MULTILINE)


def test_a_job_that_failed(new_agent: AgentMaker) -> None:
    agent = new_agent()
    job = agent.hermes.create_job("broken", "every 1h")
    agent.hermes.home.add_script("broken.sh", "exit 3\n")
    with agent.serving("serve") as server:
        agent.make_due(job, 1)
        assert chronos(agent.hermes, "reconcile").returncode == 0
        agent.callback.wait_for(lambda fire: fire.status == 202, "fire")
        assert server.process.running
        eventually(lambda: jobs(agent)["broken"]["problem"] == "failed", "the failure")


def test_watch_shows_it_again(fired: Agent) -> None:
    watch = command(fired.hermes, "status", "--watch")
    environment = fired.hermes.variables()
    with subprocess.Popen(watch, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        heads = 0
        while heads < 2:
            heads += process.stdout.readline().startswith("JOB ")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130


def test_tail_tells_the_provider_s_lines(fired: Agent) -> None:
    (*_, last) = lines = chronos(fired.hermes, "tail", "--no-follow").stdout.splitlines()
    assert all(re.search(r" (INFO|WARNING) (cron\.chronos|nas_sdk)", line) for line in lines)
    assert any(re.search(r"job \w+ fires \d\.\d s after it was due", line) for line in lines)
    assert any("armed 1, cancelled 0, failed 0" in line for line in lines)
    assert chronos(fired.hermes, "tail", "--no-follow", "-n", "1").stdout.splitlines() == [last]


def test_tail_follows_into_a_new_file(new_agent: AgentMaker) -> None:
    agent = new_agent()
    agent.hermes.create_job("hourly", "every 1h")
    log = agent.hermes.home.hermes / "logs" / "agent.log"
    line = "2026-01-01 00:00:00,000 WARNING cron.chronos: {}\n"
    follow = command(agent.hermes, "tail", "-n", "0")
    environment = agent.hermes.variables()
    seen = threading.Event()

    def begin() -> None:
        while not seen.wait(0.05):  # `tail` may not have begun to look yet
            with log.open("a") as file:
                file.write(line.format("first"))

    writer = threading.Thread(target=begin)
    with subprocess.Popen(follow, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            writer.start()
            assert process.stdout.readline().endswith("first\n")
            seen.set()
            writer.join()
            log.rename(log.with_name("agent.log.1"))
            later = log.with_name("later")
            later.write_text(
                "2026-01-01 00:00:01,000 INFO gateway.run: no\n" + line.format("second")
            )
            later.rename(log)
            told = {process.stdout.readline()}
            while line.format("second") not in told:
                told.add(process.stdout.readline())
        finally:
            seen.set()
            process.send_signal(signal.SIGINT)
    assert told <= {line.format("first"), line.format("second")}


def test_uninstall_removes_the_records_too(new_agent: AgentMaker, tmp_path: Path) -> None:
    agent = new_agent()
    environment = HermesEnvironment.create(MAIN, tmp_path / "env")
    hermes = replace(agent.hermes, environment=environment)
    folder = hermes.home.hermes / "cron" / "chronos"
    folder.parent.mkdir()
    ServingStatus(folder).fired("0123456789ab", 1.0, 2.0)
    said = chronos(hermes, "uninstall", "--dry-run").stdout
    assert f"would remove {folder}" in said
    assert folder.exists()
    assert chronos(hermes, "uninstall").returncode == 0
    assert not folder.exists()


def test_there_is_no_log_yet(new_agent: AgentMaker) -> None:
    agent = new_agent()
    done = chronos(agent.hermes, "tail")
    assert done.returncode == 1
    assert "has not logged anything" in done.stderr
