"""One NAS and one environment per hermes release for all of a worker's tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.support.agents import Agent, agent
from tests.support.hermes_env import MAIN, HermesEnvironment
from tests.support.nas_process import NasProcess, nas_process

AgentMaker = Callable[..., Agent]


@pytest.fixture(scope="session")
def nas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NasProcess]:
    with nas_process(tmp_path_factory.mktemp("nas")) as running:
        yield running


@pytest.fixture(scope="session")
def with_hook(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], HermesEnvironment]:
    """The environment of a hermes release with our hook installed."""

    @cache
    def environment(version: str) -> HermesEnvironment:
        made = HermesEnvironment.create(version, tmp_path_factory.mktemp("hermes") / "env")
        made.install_hook()
        return made

    return environment


@pytest.fixture(scope="module")
def new_agent(
    nas: NasProcess,
    with_hook: Callable[[str], HermesEnvironment],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AgentMaker]:
    """Makes agents on a hermes release; what else is given goes into config.yaml's `cron`."""
    with ExitStack() as stack:

        def make(version: str = MAIN, **cron: object) -> Agent:
            directory: Path = tmp_path_factory.mktemp("agent") / "home"
            made = agent(nas, with_hook(version), directory, **cron)
            return stack.enter_context(made)

        yield make


@pytest.fixture(scope="module")
def main_agent(new_agent: AgentMaker) -> Agent:
    """An agent on the main release, shared by the tests of a module."""
    return new_agent()


@pytest.fixture
def patient(main_agent: Agent) -> Iterator[Agent]:
    """The agent of this module, with its configuration as it was before the test."""
    files = [main_agent.hermes.home.hermes / name for name in ("config.yaml", "auth.json")]
    texts = [file.read_text() for file in files]
    yield main_agent
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
