"""When a call is sent again, and after what wait. Pure.

All three operations are idempotent by contract, so a POST is retried like a GET.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from ..errors import CertificateError, NasConnectionError, NasError, StatusError
from .policy import DEFAULT, ClientPolicy

ASKED_MAX = 366 * 86400.0
"""A `Retry-After` of more seconds than that counts as this."""

_SECONDS = re.compile(r"[0-9]{1,64}(\.[0-9]{1,64})?")


def is_retryable(error: NasError) -> bool:
    """Whether sending the same request again may succeed: no answer, 408, 429 or 5xx."""
    if isinstance(error, StatusError):
        return error.status in (408, 429) or 500 <= error.status < 600
    return isinstance(error, NasConnectionError) and not isinstance(error, CertificateError)


def next_wait(
    error: NasError,
    attempts: int,
    left: float | None,
    chance: float,
    policy: ClientPolicy = DEFAULT,
) -> float | None:
    """Seconds to wait before the next attempt, None where there is none.

    `attempts` were made, `left` is what remains of the deadline in seconds (None: no
    deadline), `chance` is random in [0, 1). The wait is exponential with full jitter, on
    top of what NAS asked for. A wait that would outlast the deadline, or is asked for
    beyond `retry_after_max`, is not begun.
    """
    if not is_retryable(error) or is_put_off(error, None, policy):
        return None
    asked = error.retry_after if isinstance(error, StatusError) else None
    backoff = chance * min(policy.last_step, policy.first_step * 2.0 ** min(attempts - 1, 16))
    wait = wait_asked(asked, backoff, policy.retry_after_max + backoff)
    return None if left is not None and wait >= left else wait


def is_put_off(error: NasError, left: float | None, policy: ClientPolicy = DEFAULT) -> bool:
    """Whether NAS asks to be left alone for longer than the client waits, whatever the call.

    That is `retry_after_max`, or where the deadline is sooner, what is `left` of it less a step.
    """
    asked = error.retry_after if isinstance(error, StatusError) else None
    most = policy.retry_after_max
    return asked is not None and asked > (
        most if left is None else min(most, left - policy.first_step)
    )


def wait_asked(asked: float | None, backoff: float, most: float) -> float:
    """What to wait where a `Retry-After` may have been given: the rule of both sides.

    Our own `backoff` comes on top of what was `asked` (None: nothing), so the wait is never
    shorter than without it; and it is not longer than `most`. All in the same unit.
    """
    return max(backoff, min((asked or 0) + backoff, most))


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds a `Retry-After` header asks for, from digits or an HTTP date.

    A date counts from the answer's own `Date`, so that a clock that is wrong here does no
    harm; without one from `now` (seconds since the epoch). None: no header, or unreadable.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), ASKED_MAX)
    until = _http_date(value)
    if until is None:
        return None
    sent = _http_date(headers.get("date", ""))
    return min(max(0.0, until - (now if sent is None else sent)), ASKED_MAX)


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
        # The obsolete asctime form has no zone; RFC 9110 says it is UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
