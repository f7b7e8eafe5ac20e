"""Compare what should be armed with what NAS lists, and carry out the difference.

`plan` decides and is pure; `converge` lists, plans and sends. Both work on levels, not on
events: running them again when nothing changed sends no write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from .errors import (
    ConfigurationError,
    IdentityRejectedError,
    NasConnectionError,
    NasError,
    RateLimitedError,
    TokenError,
    UnauthorizedError,
)
from .times import format_instant, parse_instant

if TYPE_CHECKING:
    from .batch import Outcome
    from .client import NasClient

OVERDUE_STEP_MS: Final = 300_000
"""An occurrence this long overdue is armed under a later fire time, one per such step.

NAS remembers the dedup key of a fire that was accepted for 10 minutes and arms nothing
under it. An agent that accepted a fire and was killed before it ran needs another key.
"""

WATCHDOG_MS: Final = 900_000
"""How long after the earliest job its watchdog is due."""
WATCHDOG_SLACK_MS: Final = 600_000
"""How much earlier it may be, so that it is not moved at every fire."""

_log = logging.getLogger("nas_sdk")
_HOPELESS = (
    ConfigurationError,
    IdentityRejectedError,
    RateLimitedError,
    TokenError,
    UnauthorizedError,
)


@attrs.frozen
class OneShot:
    """A one-shot that should be armed: `job_id` at `fire_at` (RFC 3339 with an offset).

    An arm that is up to `slack` milliseconds earlier will do.
    """

    job_id: str
    fire_at: str
    slack: int = 0


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


@attrs.frozen
class Report:
    """What `converge` did."""

    plan: Plan
    failed: tuple[Outcome, ...] = ()
    """The writes that did not succeed, with their errors."""
    list_error: NasError | None = None
    """Why the list could not be used, if it could not."""

    @property
    def ok(self) -> bool:
        """Whether NAS now has what was desired, as far as its answers tell."""
        return not self.failed and self.list_error is None

    @property
    def errors(self) -> list[NasError]:
        """Every error met, the list's first."""
        listed = [self.list_error] if self.list_error else []
        return listed + [outcome.error for outcome in self.failed if outcome.error]


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
    spare: Container[str] | Callable[[str], bool] = (),
) -> Plan:
    """The writes that lead from `observed` to `desired`; instants are compared to the ms.

    `observed` is NAS's list, or None when it is unusable: then everything desired is armed
    and nothing is cancelled. `spare` holds (or tells) job ids that are never cancelled.
    With `now` (ms since the epoch), a job that is overdue counts as armed when its arm is
    due too, and is otherwise armed under a key NAS has not seen (`OVERDUE_STEP_MS`).
    """
    wanted, unusable = _instants(desired)
    armed = None if observed is None else {item.job_id: item.fire_at for item in observed}
    arms = [
        (due, _spelled(one, due, now))
        for due, one in wanted.values()
        if not (armed and _is_met(one, due, armed.get(one.job_id), now))
    ]
    arms.sort(key=lambda pair: (pair[0], pair[1].job_id))
    spared = spare if callable(spare) else spare.__contains__
    keep = wanted.keys() | unusable
    cancels = sorted(id_ for id_ in armed or () if id_ not in keep and not spared(id_))
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
        return observed <= now
    return due - one.slack <= observed <= due


def _spelled(one: OneShot, due: int, now: int | None) -> OneShot:
    """The one-shot as it is sent: its own text, unless it is long overdue."""
    steps = 0 if now is None else (now - due) // OVERDUE_STEP_MS
    if steps <= 0:
        return one
    return attrs.evolve(one, fire_at=format_instant(due + steps * OVERDUE_STEP_MS))


def watchdog(job_id: str, desired: Iterable[OneShot], *, now: int) -> OneShot | None:
    """A one-shot that wakes the agent if it died before it armed the next ones.

    It is due a while after the earliest one desired, or after `now` (ms since the epoch)
    if that is overdue, and so never fires in health. None when nothing is desired.
    """
    wanted, _ = _instants(desired)
    if not wanted:
        return None
    earliest = min(due for due, _ in wanted.values())
    at = format_instant(max(now, earliest) + WATCHDOG_MS)
    return OneShot(job_id, at, WATCHDOG_SLACK_MS)


def converge(
    client: NasClient,
    desired: Iterable[OneShot] | Callable[[], Iterable[OneShot]],
    *,
    callback_url: str,
    now: int | None = None,
    spare: Container[str] | Callable[[str], bool] = (),
) -> Report:
    """Make NAS's list what is desired, and say what that took.

    Give `desired` as a callable to have it read after the list: an arm that another
    process added in between is then never taken for an orphan.

    Raises what no further request could heal now: `IdentityRejectedError`,
    `UnauthorizedError`, `TokenError`, `RateLimitedError`, `ConfigurationError`. A list
    that is unusable for another reason, and every write that fails, is in the report.
    """
    observed, list_error = _list(client)
    todo = plan(desired() if callable(desired) else desired, observed, now=now, spare=spare)
    outcomes = _arm(client, todo.arms, callback_url, blind=observed is None)
    if todo.cancels:
        outcomes += client.cancel_many(todo.cancels)
    return Report(todo, tuple(each for each in outcomes if not each.ok), list_error)


def _list(client: NasClient) -> tuple[list[Armed] | None, NasError | None]:
    try:
        return list(client.list_armed()), None
    except _HOPELESS:
        raise
    except NasError as error:
        return None, error


def _arm(
    client: NasClient, arms: tuple[OneShot, ...], callback_url: str, *, blind: bool
) -> list[Outcome]:
    """Send the arms. A NAS whose list failed is tried with the earliest one first."""
    from .batch import Arm, Outcome

    batch = [Arm(one.job_id, one.fire_at, callback_url) for one in arms]
    if not (blind and batch):
        return client.provision_many(batch) if batch else []
    first = client.provision_many(batch[:1])
    error = first[0].error
    if isinstance(error, (NasConnectionError, *_HOPELESS)):
        return first + [Outcome(arm, error=error) for arm in batch[1:]]
    return first + (client.provision_many(batch[1:]) if batch[1:] else [])
