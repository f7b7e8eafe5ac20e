"""What becomes of a fire: sent again, ended, remembered, or never sent."""

from __future__ import annotations

from .checks import Group
from .contract import Law
from .rig import Rig
from .scene import ELSEWHERE
from .wire import Broken

GROUP = Group("fire", needs="receive")
_ENDS = Law("cronFire", "Any 2xx ends the one-shot.")
_RETRIES = Law("cronFire", "NAS sends it again with exponential backoff")


@GROUP.check(
    "retry-5xx",
    Law("cronFire", "The machine is waking, or broken. NAS sends the fire again."),
    "Keep the one-shot until the agent answers 2xx or 410.",
)
def retry_5xx(rig: Rig) -> None:
    """A fire answered with a 5xx is sent again."""
    for name in ("busy", "error"):
        rig.scene.played().came(name, 2)


@GROUP.check(
    "retry-4xx",
    Law("cronFire", "On anything else (including a refused connection"),
    "Do not take 400, 401 or 404 for final: the agent may be starting, or its keys be old.",
)
def retry_4xx(rig: Rig) -> None:
    """A fire answered with a 4xx other than 410 is sent again."""
    for name in ("refused", "bad", "missing"):
        rig.scene.played().came(name, 2)


@GROUP.check(
    "retry-dropped",
    Law("cronFire", "On anything else (including a refused connection"),
    "Treat a network error like a 5xx.",
)
def retry_dropped(rig: Rig) -> None:
    """A fire whose connection breaks is sent again."""
    rig.scene.played().came("dropped", 2)


@GROUP.check(
    "redirect",
    _RETRIES,
    "Turn redirects off in the HTTP client: the token is for the agent alone.",
)
def redirect(rig: Rig) -> None:
    """A redirect is not followed; the fire is sent again to the same place."""
    scene = rig.scene.played()
    if any(ELSEWHERE in stray.path for stray in scene.receiver.strays()):
        raise Broken("the redirect was followed, with the token", steps=scene.steps("moved"))
    scene.came("moved", 2)


@GROUP.check(
    "retry-after",
    Law("cronFire", "obeying `Retry-After`"),
    "Begin the next attempt no sooner than the agent asked.",
)
def retry_after(rig: Rig) -> None:
    """Retry-After of the agent is obeyed."""
    scene = rig.scene.played()
    first, second = scene.came("busy", 2)[:2]
    asked = scene.patience.retry_after
    if second.at - first.at < asked:
        raise Broken(
            f"{asked} s were asked for, {second.at - first.at:.3f} s passed",
            steps=scene.steps("busy"),
        )


@GROUP.check(
    "listed",
    Law("list", "One that is due stays listed until the agent has accepted it."),
    "Remove it on the agent's 2xx or 410, not when it is handed to the relay.",
)
def listed(rig: Rig) -> None:
    """A one-shot that is due stays listed until the agent has accepted it."""
    scene = rig.scene.played()
    scene.came("busy")
    if not scene.listed_while_busy:
        raise Broken("after a 503 it was not listed any more", steps=scene.steps("busy"))


@GROUP.check("ends-accepted", _ENDS, "Delete it; send nothing more for it.")
def ends_accepted(rig: Rig) -> None:
    """A 202 ends the one-shot."""
    rig.scene.played().ended_once("accepted")


@GROUP.check(
    "ends-gone",
    Law("cronFire", "A 410 ends the one-shot as a `gone` does."),
    "Treat 200, 204 and 410 like 202: nobody is there to run the job.",
)
def ends_gone(rig: Rig) -> None:
    """Any other 2xx and a 410 end the one-shot, too."""
    for name in ("gone", "any-2xx", "gone-410"):
        rig.scene.played().ended_once(name)


@GROUP.check(
    "remembered",
    Law("provision", "`dedup_key` was delivered and accepted within the last 10 minutes"),
    "Remember accepted keys for 10 minutes, with their schedule_id.",
)
def remembered(rig: Rig) -> None:
    """A key that was delivered and accepted does not arm again."""
    scene = rig.scene.played()
    scene.ended_once("accepted")
    if scene.remembered != scene.parts["accepted"].schedule_id:
        raise Broken(
            f"it was {scene.parts['accepted'].schedule_id!r} and the same key again was "
            f"answered {scene.remembered!r}",
            steps=scene.steps("accepted"),
        )


@GROUP.check(
    "cancelled",
    Law("cancel", "A cancel that arrives before the delivery begins prevents it"),
    "Look the one-shot up again when the time has come.",
)
def cancelled(rig: Rig) -> None:
    """A one-shot cancelled before its time never fires."""
    rig.scene.played().never_fired("cancelled")


@GROUP.check(
    "replaced",
    Law("provision", "It has one with another `dedup_key`: the new one replaces it."),
    "Cancel the earlier timer, or check the schedule_id when it goes off.",
)
def replaced(rig: Rig) -> None:
    """A one-shot replaced before its time never fires."""
    rig.scene.played().never_fired("postponed")


@GROUP.check(
    "re-armed",
    Law("provision", "its outcome does not touch the new one."),
    "When a delivery ends, delete the row only if it still has the schedule_id delivered.",
)
def re_armed(rig: Rig) -> None:
    """A job armed anew during a delivery keeps the new one-shot."""
    rig.scene.played().came("under-way", 2)
