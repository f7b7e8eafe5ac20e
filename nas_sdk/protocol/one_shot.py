"""The rules of one-shots: arm, replace, cancel, due, fire now, lease, ack, retry, give up.

Everything here is pure: ``now`` is an argument in milliseconds since the epoch, chance is
passed in, and nothing is read or written. The functions decide about one one-shot, and
every store obeys them; `nas_sdk.protocol.table` keeps a set of one-shots by them.
"""

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nas_sdk._core.instants import parse_instant
from nas_sdk._core.retry import wait_asked

LEASE_MS: Final = 60_000
"""How long one delivery attempt may take before it counts as lost (the call itself: 30 s)."""
REMEMBER_MS: Final = 600_000
"""How long the dedup key of a delivered one-shot is remembered."""
CLOCKS_MS: Final = 60_000
"""A key that was delivered by a clock so much ahead, or before one was set back, is remembered."""
GIVE_UP_MS: Final = 86_400_000
"""How long after its first attempt a one-shot that is never accepted is marked dead."""
KEEP_DEAD_MS: Final = 7 * GIVE_UP_MS
"""How long a dead one-shot is kept for people to see."""
BACKOFF_BASE_MS: Final = 1_000
BACKOFF_CAP_MS: Final = 600_000
RETRY_AFTER_MAX_MS: Final = 3_600_000
"""The longest wait between two attempts, whatever an agent asks for with ``Retry-After``."""

_BELOW_MS: Final = re.compile(r"\.[0-9]{3}[0-9]*[1-9]")


@attrs.frozen
class StoredOneShot:
    """One armed fire of one job of one agent. Times are milliseconds since the epoch."""

    agent: str
    job_id: str
    fire_at: str
    """The agent's own spelling, carried byte for byte."""
    due_ms: int
    callback_url: str
    dedup_key: str
    schedule_id: str
    attempt: int = 0
    """Deliveries begun so far."""
    not_before_ms: int = 0
    """No delivery begins before this: the due time, or that of arming when it was past
    already; later the time of the next retry, and at the end that of giving up."""
    lease_until_ms: int | None = None
    """Set while a delivery is under way; when it passes, the delivery counts as lost."""
    first_attempt_ms: int | None = None
    dead: bool = False
    """Given up: not delivered any more and not listed, kept for people to see."""
    note: str = ""
    """How the last attempt ended, as `DeliveryResult.note`."""
    generation: int = 0
    """Which of its agent's credentials armed it, counted from the agent's first."""
    more: str = ""
    """What else its provision said that the contract knows: a JSON object; empty for nothing."""

    @property
    def members(self) -> Mapping[str, Any]:
        """What `more` holds."""
        found: Mapping[str, Any] = json.loads(self.more) if self.more else {}
        return found

    @property
    def wake_ms(self) -> int:
        """When this one-shot next needs attention."""
        return self.not_before_ms if self.lease_until_ms is None else self.lease_until_ms

    @property
    def early(self) -> bool:
        """Whether its next delivery, or the one under way, is ahead of time, by `fire_now`."""
        return self.not_before_ms < self.due_ms


@attrs.frozen
class DeliveryResult:
    """How one delivery attempt ended."""

    ended: bool
    """The agent has it (any 2xx) or says it is gone (410): the one-shot is done."""
    note: str
    """A status, or a word from a small set; more for people may follow after a colon."""
    retry_after_ms: int | None = None
    """What the agent asked for with ``Retry-After``, counted from now."""
    ran: bool = True
    """Of one that ``ended``: whether the agent took it for a run, or said why there is none."""


def answered(status: int, said: object, retry_after_ms: int | None) -> DeliveryResult:
    """Return how an attempt ended that was answered with ``status``.

    ``said`` is the answer's ``status`` member where that is a word of the contract, else None.
    """
    if not (200 <= status < 300 or status == 410):
        return DeliveryResult(ended=False, note=str(status), retry_after_ms=retry_after_ms)
    if status == 200 and said is not None:
        return DeliveryResult(ended=True, note=f"200: {said}", ran=False)
    return DeliveryResult(ended=True, note=str(status), ran=status != 410)


def new_schedule_id() -> str:
    """Return a fresh opaque name for a one-shot."""
    return f"os_{secrets.token_hex(10)}"


def due_ms(fire_at: str) -> int:
    """Return the first whole millisecond that is not before ``fire_at``.

    Raises ValueError, in words a caller can use, when it is no instant.
    """
    return parse_instant(fire_at) + (_BELOW_MS.search(fire_at) is not None)


def fresh(
    agent: str,
    job_id: str,
    fire_at: str,
    callback_url: str,
    dedup_key: str,
    schedule_id: str,
    now: int,
    generation: int = 0,
    more: Mapping[str, Any] | None = None,
) -> StoredOneShot:
    """Return the one-shot a provision asks for, as it is before any attempt.

    ``more`` are the optional members of the request, which the list and the fire may repeat.
    Raises ValueError, in words a caller can use, when ``fire_at`` is no instant.
    """
    due = due_ms(fire_at)
    return StoredOneShot(
        agent=agent,
        job_id=job_id,
        fire_at=fire_at,
        due_ms=due,
        callback_url=callback_url,
        dedup_key=dedup_key,
        schedule_id=schedule_id,
        not_before_ms=max(due, now),
        generation=generation,
        more=json.dumps(more) if more else "",
    )


def arm(
    wanted: StoredOneShot, current: StoredOneShot | None, delivered: str | None
) -> tuple[str, bool]:
    """Decide on a provision: the schedule id to answer, and whether to write ``wanted``.

    ``current`` is what the job has now, ``delivered`` the schedule id remembered for the
    dedup key. A dead one-shot is replaced even under its own key, so that an agent that
    comes back after days can arm the fire it missed. So is one that an older credential
    armed: its callback is not taken over. An older credential replaces nothing.
    """
    if current is not None and current.generation > wanted.generation:
        return current.schedule_id, False
    if current is not None and _is_same(wanted, current):
        return current.schedule_id, False
    if delivered is not None:
        return delivered, False
    return wanted.schedule_id, True


def remembered(delivered: tuple[int, str] | None, now: int) -> str | None:
    """Return the schedule id of a key that was ``delivered``, while that is remembered.

    It is kept with the time until which it is to be. That is no time of this clock if it is
    too far ahead: the key would be taken for armed until the clock comes there.
    """
    if delivered is None or not now < delivered[0] <= now + REMEMBER_MS + CLOCKS_MS:
        return None
    return delivered[1]


def _is_same(wanted: StoredOneShot, current: StoredOneShot) -> bool:
    return not current.dead and (
        (current.dedup_key, current.generation) == (wanted.dedup_key, wanted.generation)
    )


def fire_now(one_shot: StoredOneShot, now: int) -> StoredOneShot:
    """Return ``one_shot`` as due at once, because a person says so.

    A dead one gets its attempts anew. One that is being delivered, or is due, stays as it is.
    A delivery ahead of ``fire_at`` is one more: the one-shot stays armed for its own time, for
    an agent may take it for a duplicate. One that ran the job arms its next fire instead.
    """
    if one_shot.dead:
        return attrs.evolve(one_shot, dead=False, not_before_ms=now, first_attempt_ms=None)
    if one_shot.lease_until_ms is not None:
        return one_shot
    return attrs.evolve(one_shot, not_before_ms=min(now, one_shot.not_before_ms))


def lease(one_shot: StoredOneShot, now: int) -> StoredOneShot:
    """Return ``one_shot`` with a delivery begun.

    One that was to be ahead of time and comes to it only when its time has come is on time.
    """
    if one_shot.early and now >= one_shot.due_ms:
        one_shot = attrs.evolve(
            one_shot, not_before_ms=one_shot.due_ms, attempt=0, first_attempt_ms=None
        )
    first = now if one_shot.first_attempt_ms is None else one_shot.first_attempt_ms
    return attrs.evolve(
        one_shot,
        attempt=one_shot.attempt + 1,
        lease_until_ms=now + LEASE_MS,
        first_attempt_ms=first,
    )


def release(one_shot: StoredOneShot) -> StoredOneShot:
    """Return ``one_shot`` with its delivery handed back, to be begun again at once."""
    return attrs.evolve(one_shot, lease_until_ms=None)


def is_kept(dead: StoredOneShot, now: int) -> bool:
    """Tell whether one that was given up is still to be shown to people."""
    return dead.not_before_ms > now - KEEP_DEAD_MS


def ends(tried: StoredOneShot, outcome: DeliveryResult) -> bool:
    """Tell whether the delivery of ``tried`` was the last it needs."""
    return outcome.ended and not tried.early


def is_over(current: StoredOneShot | None, tried: StoredOneShot) -> bool:
    """Tell whether an accepted delivery of ``tried`` ends ``current``.

    It does not when the job was armed anew meanwhile. A lease that had run out does not
    matter: the agent has the fire.
    """
    return current is not None and current.schedule_id == tried.schedule_id


def is_retried(current: StoredOneShot | None, tried: StoredOneShot) -> bool:
    """Tell whether a delivery of ``tried`` that did not end it is the last word on ``current``."""
    return current is not None and (
        (current.schedule_id, current.attempt, current.lease_until_ms)
        == (tried.schedule_id, tried.attempt, tried.lease_until_ms)
    )


def backoff_ms(attempt: int, chance: float) -> int:
    """Return the wait after failed attempt ``attempt`` (from 1); ``chance`` is in [0, 1)."""
    return int(chance * min(BACKOFF_CAP_MS, BACKOFF_BASE_MS << min(attempt - 1, 20)))


def retry(tried: StoredOneShot, outcome: DeliveryResult, now: int, chance: float) -> StoredOneShot:
    """Return ``tried`` after an attempt that did not end it: waiting for the next one, or dead.

    The wait is exponential backoff with full jitter, on top of what the agent asked for, and
    at most `RETRY_AFTER_MAX_MS`. One past the maximum age still gets a last attempt at that age.
    One that was tried ahead of time waits for its time at the most, is not given up before,
    and begins anew there.
    """
    backoff = backoff_ms(tried.attempt, chance)
    wait = int(wait_asked(outcome.retry_after_ms, backoff, RETRY_AFTER_MAX_MS))
    deadline = (now if tried.first_attempt_ms is None else tried.first_attempt_ms) + GIVE_UP_MS
    if tried.early and (outcome.ended or now >= deadline or now + wait >= tried.due_ms):
        return _at_its_time(tried, outcome, now)
    again = max(now, min(now + wait, deadline))  # past the deadline: now is when it was given up
    return attrs.evolve(
        tried,
        lease_until_ms=None,
        # Where the clock stepped back, a retry must not look as if a person had asked for it.
        not_before_ms=again if tried.early else max(tried.due_ms, again),
        dead=now >= deadline,
        note=outcome.note,
    )


def _at_its_time(tried: StoredOneShot, outcome: DeliveryResult, now: int) -> StoredOneShot:
    return attrs.evolve(
        tried,
        attempt=0,
        lease_until_ms=None,
        first_attempt_ms=None,
        not_before_ms=max(tried.due_ms, now),
        note=outcome.note,
    )
