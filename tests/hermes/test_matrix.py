"""The same life on every hermes that matters, in each of its processes."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nas_sdk._core.instants import parse_instant
from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.hermes_env import MAIN, VERSIONS, HermesEnvironment
from tests.support.hermes_host import HermesServer, eventually
from tests.support.matrix import STEPS, Matrix, Seen

LATEST = VERSIONS[-1]
FORWARDING = tuple(version for version in VERSIONS if version not in ("0.18.2", MAIN))
"""Here the web servers hand every fire to the gateway."""
SERVERS = [
    *((version, [kind]) for version in ("0.18.2", MAIN) for kind in ("serve", "dashboard")),
    *((version, ["gateway"]) for version in ("0.18.2", MAIN, LATEST)),
    *((version, ["gateway", "serve", "dashboard"]) for version in FORWARDING[:-1]),
]
"""The processes of one agent, each started beside those before it; the web server of the latest
wheel does not start."""
PROFILES = [("0.18.2", "serve"), (MAIN, "serve"), (MAIN, "dashboard")]
"""Where a web server runs the jobs of every profile; later ones leave that to the gateway's."""
SOON = 4.0
"""Seconds: longer than a command takes on an idle machine, so that the wait is real."""


def in_a_moment() -> str:
    return (datetime.now(UTC) + timedelta(seconds=SOON)).isoformat(timespec="seconds")


@pytest.mark.parametrize("version", VERSIONS)
def test_command_line(version: str, new_agent: AgentMaker, matrix: Matrix) -> None:
    seen = matrix(version, "command line", "load", "create", "pause", "remove")
    agent = new_agent(version)

    job = agent.hermes.create_job("hourly", "every 1h")
    assert agent.hermes.loaded_by_last_command().is_ours()
    seen("load")
    assert agent.armed()[job] == agent.due(job)
    seen("create")

    agent.hermes.cli("cron", "pause", job)
    assert job not in agent.armed()
    agent.hermes.cli("cron", "resume", job)
    assert agent.armed()[job] == agent.due(job)
    seen("pause")

    agent.hermes.cli("cron", "remove", job)
    assert job not in agent.armed()
    seen("remove")


@pytest.mark.parametrize(("version", "kinds"), SERVERS, ids=str)
def test_server(version: str, kinds: list[str], new_agent: AgentMaker, matrix: Matrix) -> None:
    agent = new_agent(version)
    rows = {kind: matrix(version, kind, *STEPS[:-1]) for kind in kinds}
    with ExitStack() as stack:
        gateway = None
        for kind, seen in rows.items():
            server = stack.enter_context(agent.serving(kind, gateway))
            gateway = server if kind == "gateway" else gateway
            live_with(server, agent, seen, kind)


def live_with(server: HermesServer, agent: Agent, seen: Seen, kind: str) -> None:
    """Go through every step with one server, to which NAS's fires go."""
    change_through(server, agent, seen)
    assert server.fire("no-token", "0123456789ab", "2026-06-18T12:34:56Z").status_code == 401
    assert server.loaded().is_ours()
    seen("load")
    seen("verify")

    often, one = f"{kind}-recurring", f"{kind}-once"
    recurring = agent.hermes.create_job(often, "every 1h")
    due = parse_instant(agent.make_due(recurring, SOON))
    once = agent.hermes.create_job(one, in_a_moment())
    agent.await_runs(often, 1)
    agent.await_runs(one, 1)
    seen("fire")

    eventually(lambda: next_is_armed(agent, recurring, due), "the next one-shot")
    eventually(lambda: once not in agent.armed(), "the end of the one-shot")
    seen("re-arm")
    for job in (recurring, once):
        assert [fire.status for fire in agent.fires(job)] == [202]
    eventually(lambda: agent.hermes.home.outputs(recurring) == [f"{often} ran"], "its output")
    assert agent.hermes.runs(often) == agent.hermes.runs(one) == 1


def change_through(server: HermesServer, agent: Agent, seen: Seen) -> None:
    """Create, pause, resume and remove a job through a server's own API, before any fire."""
    told = server.ask("POST", "", name="changed", schedule="every 2h", prompt="say hello")
    job = told.get("job", told)["id"]
    eventually(lambda: agent.armed().get(job) == agent.due(job), "the one-shot of a new job")
    seen("create")
    server.ask("POST", f"/{job}/pause")
    eventually(lambda: job not in agent.armed(), "the end of a paused job's one-shot")
    server.ask("POST", f"/{job}/resume")
    eventually(lambda: agent.armed().get(job) == agent.due(job), "the one-shot of a resumed job")
    seen("pause")
    server.ask("DELETE", f"/{job}")
    eventually(lambda: job not in agent.armed(), "the end of a removed job's one-shot")
    seen("remove")


def next_is_armed(agent: Agent, job: str, after: int) -> bool:
    armed = agent.armed().get(job, 0)
    return armed > after and armed == agent.due(job)


@pytest.mark.parametrize(("version", "kind"), PROFILES)
def test_a_profile_shares_the_agent(
    version: str, kind: str, new_agent: AgentMaker, matrix: Matrix
) -> None:
    seen = matrix(version, kind, "profile")
    main = new_agent(version)
    profile = main.profile("work")
    main.hermes.add_script("theirs")  # 0.18 looks for a profile's scripts in the main home
    theirs = profile.hermes.create_job("theirs", "every 1m")
    due = parse_instant(profile.make_due(theirs, SOON))
    ours = main.hermes.create_job("ours", "every 1h")
    assert {ours, theirs} <= main.armed().keys()

    profile.hermes.create_job("another", "every 2h")
    with main.serving(kind):
        profile.await_runs("theirs", 1)
        eventually(lambda: next_is_armed(profile, theirs, due), "the profile's next one-shot")
    assert main.armed()[ours] == main.due(ours)
    seen("profile")


def test_without_the_hook_hermes_loads_its_own(new_agent: AgentMaker, tmp_path: Path) -> None:
    bare = HermesEnvironment.create(MAIN, tmp_path / "env")
    hermes = replace(new_agent().hermes, environment=bare)
    with hermes.serving("serve") as server:
        server.fire("no-token", "0123456789ab", "2026-06-18T12:34:56Z")
        assert not server.loaded().is_ours()
