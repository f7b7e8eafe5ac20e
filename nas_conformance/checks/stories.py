"""Random stories of provisions and cancels against a model of what must be armed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import attrs
from hypothesis import strategies as st

from nas_sdk._core.instants import format_instant

from ..runner.checks import Group
from ..runner.context import Agent, Context, check_instant
from ..runner.contract import Clause
from ..runner.drawing import first_broken
from ..runner.wire import CheckFailed, Exchange

GROUP = Group("model")
_LONGEST: Final = 16
_MOST_TRIALS: Final = 60


@attrs.frozen
class Step:
    """One act of one agent. The numbers choose among few, so that they meet again."""

    agent: int
    job: int
    fire_at: int | None
    """None is a cancel."""


_STEPS = st.lists(
    st.builds(
        Step,
        # Mostly one job of one agent: what goes wrong takes several acts on the same.
        agent=st.sampled_from([0, 0, 0, 1]),
        job=st.sampled_from([0, 0, 0, 1]),
        fire_at=st.sampled_from([0, 1, 2, 0, 1, None]),
    ),
    min_size=6,
    max_size=_LONGEST,
)


class Story:
    """One story as it is told to a NAS, and what its lists must then show."""

    def __init__(self, context: Context) -> None:
        agents = [context.agent, context.other] if context.options.second else [context.agent]
        self.agents: list[Agent] = agents
        self.steps: list[str] = []
        self._jobs = [context.job("story") for _ in range(2)]
        base = context.later_ms()
        # The second and the third are one instant in two spellings, a millisecond on.
        later = format_instant(base + 1)
        self._fire_ats = [format_instant(base), later, later.replace("Z", "+00:00")]
        self._armed: list[dict[str, tuple[str, str]]] = [{} for _ in agents]

    def tell(self, steps: list[Step]) -> None:
        """Carry out the steps; CheckFailed at the first that leaves something else than it must."""
        try:
            for step in steps:
                which = step.agent % len(self.agents)
                self._act(step, which)
                self._compare(which)
            for each in range(len(self.agents)):
                self._compare(each)
        except CheckFailed as broken:
            raise CheckFailed(broken.wrong, broken.exchange, steps=self.steps) from None
        finally:
            self._clean()

    def _act(self, step: Step, which: int) -> None:
        agent, armed = self.agents[which], self._armed[which]
        job = self._jobs[step.job]
        who = f"agent {which + 1} " if len(self.agents) > 1 else ""
        if step.fire_at is None:
            self.steps.append(f"{who}cancel {job}")
            agent.cancel(job)
            armed.pop(job, None)
            return
        fire_at = self._fire_ats[step.fire_at]
        self.steps.append(f"{who}provision {job} at {fire_at}")
        schedule_id, exchange = agent.provision(job, fire_at)
        self._check_name(armed.get(job), fire_at, schedule_id, exchange)
        armed[job] = (fire_at, schedule_id)

    def _check_name(
        self, before: tuple[str, str] | None, fire_at: str, name: str, exchange: Exchange
    ) -> None:
        if before is None:
            return
        if before[0] == fire_at and before[1] != name:
            raise CheckFailed(f"the same key was {before[1]!r} and is {name!r} now", exchange)
        if before[0] != fire_at and before[1] == name:
            raise CheckFailed(f"another key has the name of the one before, {name!r}", exchange)

    def _compare(self, which: int) -> None:
        ours, exchange = self.agents[which].armed()
        listed = {job: entry for job, entry in ours.items() if job in self._jobs}
        armed = self._armed[which]
        if listed.keys() != armed.keys():
            raise CheckFailed(
                f"armed are {_names(armed)}, listed are {_names(listed)}"
                + (f" for agent {which + 1}" if len(self.agents) > 1 else ""),
                exchange,
            )
        for job, (fire_at, name) in armed.items():
            check_instant(listed[job], fire_at, exchange)
            if listed[job]["schedule_id"] != name:
                raise CheckFailed(
                    f"job {job} was named {name!r} and is listed as another", exchange
                )

    def _clean(self) -> None:
        for agent, armed in zip(self.agents, self._armed, strict=True):
            for job in armed:
                # What went wrong has been noted; a cancel that fails, too, must not hide it.
                with suppress(CheckFailed):
                    agent.cancel(job)


@GROUP.check(
    "story",
    Clause("list", "There is at most one entry per `job_id`"),
    "Follow the steps by hand; the last one is where the list went wrong.",
)
def story(context: Context) -> None:
    """After any story of provisions and cancels the lists show what it left."""

    def tell(steps: list[Step]) -> None:
        Story(context).tell(steps)

    found = first_broken(context, _STEPS, context.options.examples, tell)
    if found is not None:
        raise _shortest(context, *found, tell)


def _shortest(
    context: Context, steps: list[Step], broken: CheckFailed, tell: Callable[[list[Step]], None]
) -> CheckFailed:
    """Leave out steps while it still breaks, within a bound."""
    trials, at = 0, 0
    while at < len(steps) > 1 and trials < _MOST_TRIALS and context.seconds_left > 0:
        trials += 1
        shorter = steps[:at] + steps[at + 1 :]
        try:
            tell(shorter)
        except CheckFailed as again:
            steps, broken, at = shorter, again, 0
        else:
            at += 1
    return broken


def _names(jobs: dict[str, Any]) -> str:
    return ", ".join(sorted(jobs)) or "none"
