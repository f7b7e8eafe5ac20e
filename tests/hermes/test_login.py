"""hermes logs in at nas-server with its own command, and stays logged in."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import httpx
import pytest

from nas_server.accounts import Accounts
from nas_server.accounts import AgentAccount as Account
from nas_server.http.oauth import REFRESH_HEADER
from nas_server.store import open_store
from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.hermes_env import VERSIONS
from tests.support.hermes_host import created
from tests.support.hermes_login import LoginCommand, stored_login
from tests.support.nas_process import NasProcess

pytestmark = pytest.mark.sampled

FAR = "2099-01-01T00:00:00+00:00"


@pytest.fixture(params=VERSIONS, scope="module")
def agent(request: pytest.FixtureRequest, new_agent: AgentMaker, nas: NasProcess) -> Agent:
    """An agent that has logged in by hermes's own command."""
    made = new_agent(request.param)
    made.hermes.home.hermes.joinpath("auth.json").unlink()
    log_in(made, nas)
    return made


def log_in(agent: Agent, nas: NasProcess) -> None:
    login = LoginCommand(agent.hermes, agent.access.url)
    told = nas.command("agent", "approve", login.code(), name_of(agent), "--json")
    assert json.loads(told)["audience"] == agent.access.audience
    assert login.ends() == 0, login.said
    assert "Saved nous OAuth device-code credentials" in login.said


def name_of(agent: Agent) -> str:
    directory = agent.hermes.home.root
    return directory.parent.name + directory.name


def armed(agent: Agent, nas: NasProcess) -> set[str]:
    async def ask() -> set[str]:
        store = await open_store(nas.store, serving=False)
        try:
            return {one.job_id for one in await store.armed(name_of(agent))}
        finally:
            await store.close()

    return asyncio.run(ask())


def expire(agent: Agent, nas: NasProcess) -> None:
    """Have the access token end now, by NAS alone: hermes takes it for good for an hour."""

    def expired(known: Account | None) -> Account:
        assert known is not None
        return attrs.evolve(known, expires_ms=1)

    async def change() -> None:
        store = await open_store(nas.store, serving=False)
        try:
            await Accounts(store).change(name_of(agent), expired)
        finally:
            await store.close()

    asyncio.run(change())


def create(agent: Agent, name: str) -> str:
    return created(agent.hermes.cli(*agent.hermes.creation(name, FAR)))


def test_a_job_is_armed_with_the_login(agent: Agent, nas: NasProcess) -> None:
    assert stored_login(agent.hermes.home.hermes)["refresh_token"].startswith("nas_refresh_")
    assert create(agent, "first") in armed(agent, nas)


def test_an_access_token_that_nas_takes_no_more_is_renewed(agent: Agent, nas: NasProcess) -> None:
    before = stored_login(agent.hermes.home.hermes)
    expire(agent, nas)
    assert create(agent, "renewed") in armed(agent, nas)
    after = stored_login(agent.hermes.home.hermes)
    for name in ("access_token", "refresh_token"):
        assert after[name] != before[name]


def test_a_token_that_hermes_takes_for_expired_is_renewed(agent: Agent, nas: NasProcess) -> None:
    home = agent.hermes.home.hermes
    before = stored_login(home)
    for file in home.rglob("*auth.json"):  # the home's own, and what its profiles share
        file.write_text(file.read_text().replace(before["expires_at"], "2020-01-01T00:00:00+00:00"))
    assert create(agent, "in-time") in armed(agent, nas)
    assert stored_login(home)["refresh_token"] != before["refresh_token"]


def test_a_stolen_refresh_token_ends_the_login_until_the_next(
    agent: Agent, nas: NasProcess
) -> None:
    home = agent.hermes.home.hermes
    used = stored_login(home)["refresh_token"]
    expire(agent, nas)
    kept = create(agent, "before")
    form = {"grant_type": "refresh_token", "client_id": "hermes-cli"}
    url = f"{agent.access.url}/api/oauth/token"
    answer = httpx.post(url, data=form, headers={REFRESH_HEADER: used}, trust_env=False)
    assert answer.json()["error"] == "refresh_token_reused"

    agent.hermes.try_cli(*agent.hermes.creation("unarmed", FAR))  # later hermes says that it failed
    jobs = agent.hermes.home.jobs().values()
    (lost,) = (job["id"] for job in jobs if job["name"] == "unarmed")
    assert armed(agent, nas) >= {kept}
    assert lost not in armed(agent, nas)
    assert not stored_login(home).get("refresh_token")
    log_in(agent, nas)
    assert create(agent, "again") in armed(agent, nas)
    assert {kept, lost} <= armed(agent, nas)  # the next change arms what was missed


def test_a_login_that_is_refused_says_so(agent: Agent, nas: NasProcess) -> None:
    with without_login(agent):
        login = LoginCommand(agent.hermes, agent.access.url)
        nas.command("agent", "deny", login.code())
        assert login.ends() != 0
        assert "refused" in login.said.lower() or "denied" in login.said.lower()


@contextmanager
def without_login(agent: Agent) -> Iterator[None]:
    kept = {file: file.read_text() for file in agent.hermes.home.hermes.rglob("*auth.json")}
    for file in kept:
        file.unlink()
    try:
        yield
    finally:
        for file, text in kept.items():
            file.write_text(text)
