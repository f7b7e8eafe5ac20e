"""What to arm and what to cancel, so that NAS's list becomes what is desired. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol

import attrs

from .._core.instants import format_instant, parse_instant

OVERDUE_STEP_MS: Final = 30_000
"""An occurrence this long overdue is armed under a later fire time.

NAS remembers the dedup key of a fire that was accepted for 10 minutes and arms nothing
under it. An agent that accepted a fire and was killed before it ran needs another key. The
wait for the next try doubles, so that an agent that will not run a job is not kept awake.
"""
OVERDUE_STEP_MAX_MS: Final = 900_000
"""Where the doubling ends."""
CLOCKS_MS: Final = 30_000
"""How far NAS's clock may be ahead."""
WATCHDOG_MS: Final = 900_000
"""How long after the earliest job its watchdog is due."""
WATCHDOG_SLACK_MS: Final = 600_000
"""How much earlier it may be, so that it is not moved at every fire."""
SPARE_WATCHDOG_MS: Final = 3_600_000
"""The same of a second watchdog, for a fault that meets the fire of the first."""
SPARE_WATCHDOG_SLACK_MS: Final = 2_400_000
"""Much, so that it is seldom moved, and yet always due later than the first."""

EVER_MS: Final = 10**15
"""A `slack` or `lag` that any time lies within."""
LAST_MS: Final = 253_402_300_799_999
"""The last instant that can be written in UTC; a job that is never due may name a later one."""

NEVER: Final[Mapping[str, int]] = MappingProxyType({})
_log = logging.getLogger("nas_sdk")


@attrs.frozen
class OneShot:
    """A one-shot that should be armed: `job_id` at `fire_at` (RFC 3339 with an offset).

    An arm that is up to `slack` milliseconds earlier, or up to `lag` later, will do.
    """

    job_id: str
    fire_at: str
    slack: int = 0
    lag: int = 0


def _nothing(job_id: str) -> bool:
    return False


@attrs.frozen
class Desired:
    """What should be armed, and what is left alone."""

    one_shots: Sequence[OneShot] = ()
    protected: Callable[[str], bool] = _nothing
    """Tells job ids that are never cancelled, whether desired or not."""
    problem: str = ""
    """Why this may not be all that should be armed; empty when it is."""
    look_again: float | None = None
    """In how many seconds this may be something else, though nobody tells."""


class Armed(Protocol):
    """What is read of an item of NAS's list."""

    @property
    def job_id(self) -> str:
        """The agent's id of the job."""

    @property
    def fire_at(self) -> str:
        """When it fires, in NAS's spelling."""


@attrs.frozen
class Plan:
    """The writes that make NAS's list what is desired; see `plan`."""

    arms: tuple[OneShot, ...] = ()
    """To arm or to move, earliest first."""
    cancels: tuple[str, ...] = ()
    """Job ids to cancel, sorted."""
    unusable: tuple[str, ...] = ()
    """Job ids whose `fire_at` is no instant: neither armed nor cancelled."""


def due_ms(fire_at: str) -> int | None:
    """The instant in milliseconds since the epoch; None for what is no instant."""
    try:
        return parse_instant(fire_at)
    except ValueError:
        return None


def plan(
    desired: Iterable[OneShot],
    observed: Iterable[Armed] | None,
    *,
    now: int | None = None,
    protect: Container[str] | Callable[[str], bool] = (),
    tried: Mapping[str, int] = NEVER,
) -> Plan:
    """The writes that lead from `observed` to `desired`; instants are compared to the ms.

    `observed` is NAS's list, or None when it is unusable: then everything desired is armed
    and nothing is cancelled. `protect` holds (or tells) job ids that are never cancelled.
    With `now` (ms since the epoch), a job that is overdue counts as armed when its arm is
    due too, or is for its next try. It is otherwise armed under a key NAS has not seen
    (`OVERDUE_STEP_MS`): that of the latest try, or of the next one where `tried` has the
    latest: when each job was last fired or armed to be, as far as known (ms since the epoch).
    """
    wanted, unusable = _instants(desired)
    armed = None if observed is None else {item.job_id: item.fire_at for item in observed}
    arms = [
        (due, _spelled(one, due, now, tried.get(one.job_id)))
        for due, one in wanted.values()
        if not (armed and _is_met(one, due, armed.get(one.job_id), now))
    ]
    arms.sort(key=lambda pair: (pair[0], pair[1].job_id))
    protected = protect if callable(protect) else protect.__contains__
    keep = wanted.keys() | unusable
    cancels = sorted(id_ for id_ in armed or () if id_ not in keep and not protected(id_))
    return Plan(tuple(one for _, one in arms), tuple(cancels), tuple(sorted(unusable)))


def _instants(desired: Iterable[OneShot]) -> tuple[dict[str, tuple[int, OneShot]], set[str]]:
    """Each job's earliest one-shot with its instant, and the ids that have none."""
    wanted: dict[str, tuple[int, OneShot]] = {}
    unusable: set[str] = set()
    for one in desired:
        try:
            due = parse_instant(one.fire_at)
        except ValueError as error:
            _log.warning("job %s is left as it is: its fire time is %s", one.job_id, error)
            unusable.add(one.job_id)
            continue
        if one.job_id not in wanted or due < wanted[one.job_id][0]:
            wanted[one.job_id] = due, one
    return wanted, unusable - wanted.keys()


def _is_met(one: OneShot, due: int, fire_at: str | None, now: int | None) -> bool:
    """Whether an arm at `fire_at` is as good as the one desired."""
    observed = due_ms(fire_at or "")
    if observed is None:
        return False
    if now is not None and due <= now:
        return does_for_overdue(due, observed, now)
    return due - one.slack <= observed <= due + one.lag


def _spelled(one: OneShot, due: int, now: int | None, tried: int | None) -> OneShot:
    """The one-shot as it is sent: its own text, unless it is long overdue or was tried."""
    at = due if now is None else armed_at(due, now, tried)
    return one if at == due else attrs.evolve(one, fire_at=format_instant(at))


def armed_at(due: int, now: int, tried: int | None) -> int:
    """When an occurrence that is `due` is armed for: its latest try, or the next one if it was
    `tried` since the latest, or is armed for the next; all in ms since the epoch.

    What NAS has fired by its own clock may be the next try by this one; it is followed by the
    one after it, as NAS arms nothing under the key of a fire that it delivered.
    """
    latest = latest_try(due, now)
    if tried is None or tried < latest or now < due:
        return latest
    if tried <= latest_try_at_nas(due, now):
        return _next_try(due, max(tried, now))
    return tried if is_next_try(due, tried, now) else latest


def latest_try(due: int, now: int) -> int:
    """When an occurrence was last to be tried; when it is `due` if that is to come."""
    return due + _tries(now - due)[0] if due <= now else due


def latest_try_at_nas(due: int, now: int) -> int:
    """The same by NAS's clock, which may be ahead; but by this one while the waits are no longer
    than clocks differ, as every try would be taken for the one after it."""
    latest, following = latest_try(due, now), _next_try(due, now)
    return following if following - now <= CLOCKS_MS < following - latest else latest


def is_next_try(due: int, at: int, now: int) -> bool:
    """Whether an occurrence that is overdue is next to be tried then, by this clock or NAS's."""
    at_nas = max(now, latest_try_at_nas(due, now))
    return due <= now and at in (_next_try(due, now), _next_try(due, at_nas))


def does_for_overdue(due: int, observed: int, now: int) -> bool:
    """Whether an occurrence that is overdue needs no other arm than the one NAS lists."""
    return observed <= now or is_next_try(due, observed, now)


def _next_try(due: int, now: int) -> int:
    return due + _tries(now - due)[1]


def _tries(overdue: int) -> tuple[int, int]:
    """The latest try and the next one of what is `overdue`, counted from its time; in ms."""
    at, wait = 0, OVERDUE_STEP_MS
    while at + wait <= overdue and wait < OVERDUE_STEP_MAX_MS:
        at, wait = at + wait, min(2 * wait, OVERDUE_STEP_MAX_MS)
    at += (overdue - at) // wait * wait
    return at, at + wait


def watchdog(
    job_id: str,
    desired: Iterable[OneShot],
    *,
    now: int,
    after: int = WATCHDOG_MS,
    slack: int = WATCHDOG_SLACK_MS,
) -> OneShot | None:
    """A one-shot that wakes the agent if it died before it armed the next ones.

    It is due so long `after` the earliest one desired, or after `now` (ms since the epoch) if
    that is overdue, and so never fires in health. None when nothing is desired.
    """
    wanted, _ = _instants(desired)
    if not wanted:
        return None
    earliest = min(due for due, _ in wanted.values())
    fire_at = format_instant(min(max(now, earliest) + after, LAST_MS))
    return OneShot(job_id, fire_at, slack)
