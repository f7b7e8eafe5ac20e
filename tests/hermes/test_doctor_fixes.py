"""What `chronos doctor` advises, followed to the letter: it ends in green."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.doctor import doctor
from tests.support.hermes_env import MAIN, VERSIONS, run
from tests.support.hermes_host import eventually
from tests.support.nas_process import NasProcess
from tools.demo.process import Served

FORWARDS = "0.21.3.post1"
"""Here the web server hands fires to the gateway."""


@contextmanager
def gateway_of_a_person(agent: Agent) -> Iterator[Served]:
    """`hermes gateway run` with nothing in its environment that is not in the home's .env."""
    log = agent.hermes.home.root / "bare-gateway.log"
    command: list[str | Path] = [agent.hermes.environment.hermes, "gateway", "run"]
    gateway = Served(command, agent.hermes.variables(), log, re.compile(r"(Gateway Starting)"))
    try:
        gateway.start()
        state = agent.hermes.home.hermes / "gateway_state.json"
        written = re.compile(r'"gateway_state": *"running"')
        eventually(lambda: state.exists() and written.search(state.read_text()), "a gateway", 120)
        yield gateway
    finally:
        gateway.close()


@pytest.mark.parametrize("version", [MAIN, VERSIONS[-1]])
def test_a_gateway_without_its_http_server(version: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    with agent.serving("gateway") as server:  # for a port that is free, and a state of before
        port = server.port
    agent.callback.target = server.url
    agent.rewrite("config.yaml", "cron.chronos.callback_url", server.url)
    with gateway_of_a_person(agent) as gateway:
        told = doctor(agent.hermes).told("callback")
        assert f"the gateway (process {gateway.pid}) runs without its HTTP server" in told
    named = re.search(r"set API_SERVER_KEY to .* in (\S+/\.env), and", told)
    assert named is not None
    keys = f"API_SERVER_KEY=0123456789abcdef01234567\nAPI_SERVER_PORT={port}\n"
    Path(named[1]).write_text(keys)
    with gateway_of_a_person(agent) as gateway:
        eventually(replace(server, process=gateway).answers, "its HTTP server")
        answers = doctor(agent.hermes)
        assert not answers.states("problem"), answers.all_told()


def test_a_token_that_nas_refuses(new_agent: AgentMaker, nas: NasProcess) -> None:
    agent = new_agent()
    name = agent.hermes.home.root.parent.name + agent.hermes.home.root.name
    command = [sys.executable, "-m", "nas_server", "agent", "rotate", name, "--store", nas.store]
    file = agent.hermes.home.root / "token"
    assert run([*command, "--token-file", str(file)], agent.hermes.variables()).returncode == 0
    told = doctor(agent.hermes).told("nas")
    assert "NAS answered 401" in told
    assert "AuthError" not in told
    assert "chronos login --token-file FILE" in told
    python = str(agent.hermes.environment.python)
    login = [python, "-P", "-m", "chronos_plugin.cli", "login", "--token-file", str(file)]
    assert run(login, agent.hermes.variables()).returncode == 0
    with agent.serving("gateway"):
        answers = doctor(agent.hermes)
    assert not answers.states("problem"), answers.all_told()


SERVERS = [*((version, "gateway") for version in VERSIONS), (MAIN, "serve"), (FORWARDS, "serve")]


@pytest.mark.sampled
@pytest.mark.parametrize(("version", "kind"), SERVERS)
def test_it_leaves_no_warning_behind(version: str, kind: str, new_agent: AgentMaker) -> None:
    agent = new_agent(version)
    log = agent.hermes.home.hermes / "logs" / "agent.log"
    with agent.serving(kind):
        before = len(log.read_text())
        # A web server may have begun a gateway of its own, which says later that it serves.
        eventually(lambda: not doctor(agent.hermes).states("problem"), "a healthy agent")
        told = log.read_text()[before:].splitlines()
    # Other parts of hermes warn of what a home without a model lacks, whenever they start.
    served = re.compile(r"(WARNING|ERROR) \S*(api_server|web_server|cron|chronos)\S*:")
    assert not [line for line in told if served.search(line)]
