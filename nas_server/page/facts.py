"""One-shots and attempts as the page shows them. Pure."""

from collections.abc import Sequence
from typing import Any

import attrs

from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.history import Attempt


def one_shot(one: StoredOneShot, now: int) -> dict[str, Any]:
    """Return what is shown of a one-shot."""
    return {
        "agent": one.agent,
        "job_id": one.job_id,
        "schedule_id": one.schedule_id,
        "fire_at": one.fire_at,
        "due_ms": one.due_ms,
        "wake_ms": one.not_before_ms if one.dead else one.wake_ms,
        "state": _state(one, now),
        "attempts": one.attempt,
        "last_answer": one.note,
        "callback_url": one.callback_url,
        "credential": one.generation,
    }


def _state(one: StoredOneShot, now: int) -> str:
    if one.dead:
        return "dead"
    if one.lease_until_ms is not None:
        return "firing"
    if one.attempt:
        return "retrying"
    return "due" if one.wake_ms <= now else "armed"


def attempt(each: Attempt) -> dict[str, Any]:
    """Return what is shown of an attempt."""
    return {**each.to_record(), "late_ms": each.late_ms}


@attrs.frozen
class Lateness:
    """How late first attempts began, in milliseconds, of so many."""

    of: int
    p50_ms: int | None
    p99_ms: int | None
    worst_ms: int | None


def lateness(attempts: Sequence[Attempt]) -> Lateness:
    """Return how late the first attempts among ``attempts`` were."""
    late = sorted(each.late_ms for each in attempts if each.number == 1)
    if not late:
        return Lateness(0, None, None, None)
    last = len(late) - 1
    return Lateness(len(late), late[last // 2], late[last * 99 // 100], late[last])
