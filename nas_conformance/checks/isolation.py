"""Two agents never see or change each other's one-shots."""

from __future__ import annotations

from ..runner.checks import Group
from ..runner.context import Context, check_instant
from ..runner.contract import Clause
from ..runner.wire import CheckFailed

GROUP = Group("isolation", needs="second")
_CLAUSE = Clause("info", "Two agents never see or change each other's one-shots.")
_ADVICE = "Make the agent, as the token has it, part of every key and every query."


@GROUP.check("list", _CLAUSE, _ADVICE)
def isolated_list(context: Context) -> None:
    """An agent's list holds nothing of another agent."""
    job = context.job("mine")
    context.agent.provision(job, context.later())
    theirs, exchange = context.other.armed()
    if theirs:
        raise CheckFailed(f"the second agent is shown {sorted(theirs)[0]}", exchange)


@GROUP.check("arm", _CLAUSE, _ADVICE)
def isolated_arm(context: Context) -> None:
    """Two agents may use one job id, and one dedup_key."""
    job = context.job("both")
    mine, theirs = context.later(3), context.later(6)
    context.agent.provision(job, mine)
    context.other.provision(job, theirs)
    for agent, fire_at in ((context.agent, mine), (context.other, theirs)):
        entry, exchange = agent.entry(job)
        check_instant(entry, fire_at, exchange)
    first, _ = context.agent.provision(job, theirs)
    second, exchange = context.other.provision(job, theirs)
    if first == second:
        raise CheckFailed(f"both agents were given the one-shot {first!r}", exchange)
    context.other.cancel(job)
    context.agent.cancel(job)


@GROUP.check("cancel", _CLAUSE, _ADVICE)
def isolated_cancel(context: Context) -> None:
    """An agent cannot cancel another agent's one-shot."""
    job = context.job("mine")
    context.agent.provision(job, context.later())
    before, _ = context.agent.entry(job)
    context.other.cancel(job)
    after, exchange = context.agent.entry(job)
    if after != before:
        raise CheckFailed(f"the entry was {before} and has changed", exchange)
