"""Two agents never see or change each other's one-shots."""

from __future__ import annotations

from .checks import Group
from .contract import Law
from .rig import Rig, check_instant
from .wire import Broken

GROUP = Group("isolation", needs="second")
_LAW = Law("info", "Two agents never see or change each other's one-shots.")
_ADVICE = "Make the agent, as the token has it, part of every key and every query."


@GROUP.check("list", _LAW, _ADVICE)
def isolated_list(rig: Rig) -> None:
    """An agent's list holds nothing of another agent."""
    job = rig.job("mine")
    rig.agent.provision(job, rig.later())
    theirs, exchange = rig.other.armed()
    if theirs:
        raise Broken(f"the second agent is shown {sorted(theirs)[0]}", exchange)


@GROUP.check("arm", _LAW, _ADVICE)
def isolated_arm(rig: Rig) -> None:
    """Two agents may use one job id, and one dedup_key."""
    job = rig.job("both")
    mine, theirs = rig.later(3), rig.later(6)
    rig.agent.provision(job, mine)
    rig.other.provision(job, theirs)
    for agent, fire_at in ((rig.agent, mine), (rig.other, theirs)):
        entry, exchange = agent.entry(job)
        check_instant(entry, fire_at, exchange)
    first, _ = rig.agent.provision(job, theirs)
    second, exchange = rig.other.provision(job, theirs)
    if first == second:
        raise Broken(f"both agents were given the one-shot {first!r}", exchange)
    rig.other.cancel(job)
    rig.agent.cancel(job)


@GROUP.check("cancel", _LAW, _ADVICE)
def isolated_cancel(rig: Rig) -> None:
    """An agent cannot cancel another agent's one-shot."""
    job = rig.job("mine")
    rig.agent.provision(job, rig.later())
    before, _ = rig.agent.entry(job)
    rig.other.cancel(job)
    after, exchange = rig.agent.entry(job)
    if after != before:
        raise Broken(f"the entry was {before} and has changed", exchange)
