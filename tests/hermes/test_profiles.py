"""A profile that is deleted under a process that keeps its jobs armed."""

import shutil

import pytest

from tests.hermes.conftest import AgentMaker
from tests.support.hermes_env import VERSIONS
from tests.support.hermes_host import eventually
from tests.support.hermes_session import hermes_session

MAKES_AGAIN = "0.20.6.post1"
"""A release that makes a folder again that it writes a marker to."""
SERVE = """
import threading
from pathlib import Path
from chronos_plugin.plugin_runtime import PLUGIN
PLUGIN.request_reconcile()
"""
KEPT = "result = [str(home) for home in PLUGIN.reconcilers]"
A_MINUTE_LATER = """
theirs.wait(theirs.request(), 60)
theirs.gone_since = 1.0
theirs.request()
for thread in threading.enumerate():
    if thread.name == "nas-reconciler":
        thread.join(60)
"""


@pytest.mark.parametrize("version", [VERSIONS[0], MAKES_AGAIN, VERSIONS[-1]])
def test_a_deleted_profile_is_disarmed_and_stays_deleted(
    version: str, new_agent: AgentMaker
) -> None:
    agent = new_agent(version)
    profile = agent.profile("work")
    ours = agent.hermes.create_job("ours", "every 1h")
    theirs = profile.hermes.create_job("theirs", "every 1h")
    assert {ours, theirs} <= set(agent.armed())
    home = profile.hermes.home.hermes
    with hermes_session(agent.hermes) as session:
        session.do(SERVE)
        eventually(lambda: str(home) in session.do(KEPT), "a reconciler for each home")
        session.do(
            "theirs = PLUGIN.reconcilers[Path(home)]\ntheirs.wait(theirs.request(), 60)",
            home=str(home),
        )
        watchdogs = set(agent.armed()) - {ours, theirs}
        shutil.rmtree(home)
        session.do(A_MINUTE_LATER, home=str(home))
        assert str(home) not in session.do(KEPT)
    assert not home.exists()
    left = set(agent.armed()) - {theirs}
    assert theirs not in agent.armed()
    assert ours in left
    assert len(left - {ours}) == len(watchdogs) / 2
