"""What becomes of a fire: sent again, ended, remembered, or never sent."""

from __future__ import annotations

from ..runner.checks import Group
from ..runner.context import Context
from ..runner.contract import Clause
from ..runner.scenario import ELSEWHERE
from ..runner.wire import CheckFailed

GROUP = Group("fire", needs="receive")
_ENDS = Clause("cronFire", "Any 2xx ends the one-shot.")
_RETRIES = Clause("cronFire", "NAS sends it again with exponential backoff")


@GROUP.check(
    "retry-5xx",
    Clause("cronFire", "The machine is waking, or broken. NAS sends the fire again."),
    "Keep the one-shot until the agent answers 2xx or 410.",
)
def retry_5xx(context: Context) -> None:
    """A fire answered with a 5xx is sent again."""
    for name in ("busy", "error"):
        context.scenario.played().came(name, 2)


@GROUP.check(
    "retry-4xx",
    Clause("cronFire", "On anything else (including a refused connection"),
    "Do not take 400, 401 or 404 for final: the agent may be starting, or its keys be old.",
)
def retry_4xx(context: Context) -> None:
    """A fire answered with a 4xx other than 410 is sent again."""
    for name in ("refused", "bad", "missing"):
        context.scenario.played().came(name, 2)


@GROUP.check(
    "retry-dropped",
    Clause("cronFire", "On anything else (including a refused connection"),
    "Treat a network error like a 5xx.",
)
def retry_dropped(context: Context) -> None:
    """A fire whose connection breaks is sent again."""
    context.scenario.played().came("dropped", 3)


@GROUP.check(
    "redirect",
    _RETRIES,
    "Turn redirects off in the HTTP client: the token is for the agent alone.",
)
def redirect(context: Context) -> None:
    """A redirect is not followed; the fire is sent again to the same place."""
    scenario = context.scenario.played()
    if any(ELSEWHERE in stray.path for stray in scenario.receiver.strays()):
        raise CheckFailed(
            "the redirect was followed, with the token", steps=scenario.steps("moved")
        )
    scenario.came("moved", 2)


@GROUP.check(
    "retry-after",
    Clause("cronFire", "no shorter than `Retry-After` asks"),
    "Begin the next attempt no sooner than the agent asked.",
)
def retry_after(context: Context) -> None:
    """Retry-After of the agent is obeyed."""
    scenario = context.scenario.played()
    first, second = scenario.came("busy", 2)[:2]
    asked = scenario.patience.retry_after
    if second.at - first.at < asked:
        raise CheckFailed(
            f"{asked} s were asked for, {second.at - first.at:.3f} s passed",
            steps=scenario.steps("busy"),
        )


@GROUP.check(
    "listed",
    Clause("list", "One that is due stays listed until the agent has accepted it."),
    "Remove it on the agent's 2xx or 410, not when it is handed to the relay.",
)
def listed(context: Context) -> None:
    """A one-shot that is due stays listed until the agent has accepted it."""
    scenario = context.scenario.played()
    scenario.came("busy")
    if not scenario.listed_while_busy:
        raise CheckFailed(
            "after a 503 it was not listed any more",
            steps=scenario.steps("busy"),
            rests_on="shape.list",
        )


@GROUP.check("ends-accepted", _ENDS, "Delete it; send nothing more for it.")
def ends_accepted(context: Context) -> None:
    """A 202 ends the one-shot."""
    context.scenario.played().ended_once("accepted")


@GROUP.check(
    "ends-gone",
    Clause("cronFire", "A 410 ends the one-shot as a `gone` does."),
    "Treat 200, 204 and 410 like 202, whatever the body: to run the job is the agent's affair.",
)
def ends_gone(context: Context) -> None:
    """Any other 2xx and a 410 end the one-shot, too, with a run or without."""
    words = context.contract.words("FireNotRun", "status")
    for name in (*words, "any-2xx", "gone-410"):
        context.scenario.played().ended_once(name)


@GROUP.check(
    "remembered",
    Clause("provision", "`dedup_key` was delivered and accepted within the last 10 minutes"),
    "Remember accepted keys for 10 minutes, with their schedule_id.",
)
def remembered(context: Context) -> None:
    """A key that was delivered and accepted does not arm again."""
    scenario = context.scenario.played()
    scenario.ended_once("accepted")
    if scenario.remembered != scenario.parts["accepted"].schedule_id:
        raise CheckFailed(
            f"it was {scenario.parts['accepted'].schedule_id!r} and the same key again was "
            f"answered {scenario.remembered!r}",
            steps=scenario.steps("accepted"),
        )


@GROUP.check(
    "cancelled",
    Clause("cancel", "A cancel that arrives before the delivery begins prevents it"),
    "Look the one-shot up again when the time has come.",
)
def cancelled(context: Context) -> None:
    """A one-shot cancelled before its time never fires."""
    context.scenario.played().never_fired("cancelled")


@GROUP.check(
    "replaced",
    Clause("provision", "It has one with another `dedup_key`: the new one replaces it."),
    "Cancel the earlier timer, or check the schedule_id when it goes off.",
)
def replaced(context: Context) -> None:
    """A one-shot replaced before its time never fires."""
    context.scenario.played().never_fired("postponed")


@GROUP.check(
    "re-armed",
    Clause("provision", "its outcome does not touch the new one."),
    "When a delivery ends, delete the row only if it still has the schedule_id delivered.",
)
def re_armed(context: Context) -> None:
    """A job armed anew during a delivery keeps the new one-shot."""
    context.scenario.played().came("under-way", 2)
