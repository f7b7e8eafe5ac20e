"""Compare what should be armed with what NAS lists, and carry out the difference.

`plan` decides and is pure (`planning.py`); `converge` lists, plans and sends. Both work on
levels, not on events: running them again when nothing changed sends no write.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from .._core.retry import is_put_off
from ..errors import (
    ConfigurationError,
    IdentityRejectedError,
    NasConnectionError,
    NasError,
    RateLimitedError,
    ServerError,
    TokenError,
    UnauthorizedError,
)
from .planning import NEVER, Armed, Desired, OneShot, Plan, plan

if TYPE_CHECKING:
    from .._core.bulk import Arm, BulkResult, Progress
    from ..client import NasClient

T = TypeVar("T", bound="Arm | str")
INLINE_MAX: Final = 8
"""Up to so many writes are sent one after the other."""

FATAL_ERRORS = (
    ConfigurationError,
    IdentityRejectedError,
    RateLimitedError,
    TokenError,
    UnauthorizedError,
)


@attrs.frozen
class Report:
    """What `converge` did."""

    plan: Plan
    failed: tuple[BulkResult, ...] = ()
    """The writes that did not succeed, with their errors."""
    list_error: NasError | None = None
    """Why the list could not be used, if it could not."""
    problem: str = ""
    """Why what was desired may not be all, as its `Desired` had it."""

    @property
    def ok(self) -> bool:
        """Whether NAS now has what was desired, as far as its answers tell."""
        return not self.failed and self.list_error is None

    @property
    def errors(self) -> list[NasError]:
        """Every error met, the list's first."""
        listed = [self.list_error] if self.list_error else []
        return listed + [outcome.error for outcome in self.failed if outcome.error]


def converge(
    client: NasClient,
    desired: Iterable[OneShot] | Callable[[Mapping[str, str] | None], Desired],
    *,
    callback_url: str,
    now: int | None = None,
    protect: Container[str] | Callable[[str], bool] = (),
    tried: Mapping[str, int] = NEVER,
    on_progress: Progress | None = None,
) -> Report:
    """Make NAS's list what is desired, and say what that took.

    `on_progress(done, total)` is called for arms, and then for cancels, where they are many.

    Give `desired` as a callable to have it read after the list: an arm that another
    process added in between is then never taken for an orphan. It is told what NAS lists,
    fire times by job id (None: the list is unusable), and what it protects is left alone as
    well. `now` and `tried` are those of `plan`.

    Raises what no further request could fix now: `IdentityRejectedError`,
    `UnauthorizedError`, `TokenError`, `RateLimitedError`, `ConfigurationError`. A list
    that is unusable for another reason, and every write that fails, is in the report.
    """
    from .._core.bulk import Arm

    observed, list_error = _list(client)
    listed = None if observed is None else {one.job_id: one.fire_at for one in observed}
    want = desired(listed) if callable(desired) else Desired(tuple(desired))
    keep = protect if callable(protect) else protect.__contains__
    todo = plan(
        want.one_shots,
        observed,
        now=now,
        protect=lambda id_: keep(id_) or want.protected(id_),
        tried=tried,
    )
    arms = [Arm(one.job_id, one.fire_at, callback_url) for one in todo.arms]
    blind = observed is None
    error = list_error if list_error and is_put_off(list_error, None) else None
    outcomes = _send(arms, client.provision_many, on_progress, blind=blind, error=error)
    error = outcomes[-1].error if outcomes else None
    outcomes += _send(todo.cancels, client.cancel_many, on_progress, blind=blind, error=error)
    failed = tuple(each for each in outcomes if not each.ok)
    return Report(todo, failed, list_error, want.problem)


def _list(client: NasClient) -> tuple[list[Armed] | None, NasError | None]:
    try:
        return list(client.list_armed()), None
    except FATAL_ERRORS:
        raise
    except NasError as error:
        return None, error


def _send(
    items: Sequence[T],
    send: Callable[..., list[BulkResult]],
    on_progress: Progress | None,
    *,
    blind: bool,
    error: NasError | None = None,
) -> list[BulkResult]:
    """Send a handful one by one, which needs no threads, and more of them at once.

    A NAS whose list failed is tried with the first one. After an `error` that ends the pass,
    such as that of the writes before, it is not asked about the rest.
    """
    from .._core.bulk import BulkResult

    singly = items if len(items) <= INLINE_MAX else items[:1] if blind else items[:0]
    outcomes: list[BulkResult] = []
    for item in singly:
        if _ends_pass(error, blind=blind):
            break
        outcomes += send([item])
        error = outcomes[-1].error
    rest = items[len(outcomes) :]
    if _ends_pass(error, blind=blind):
        return outcomes + [BulkResult(each, error=error) for each in rest]
    return outcomes + (send(rest, on_progress=on_progress) if rest else [])


def _ends_pass(error: NasError | None, *, blind: bool) -> bool:
    """Whether NAS is down, wants to be left alone, or would refuse every other write as well."""
    if error is None:
        return False
    if isinstance(error, (NasConnectionError, *FATAL_ERRORS)) or is_put_off(error, None):
        return True
    return blind and isinstance(error, ServerError)
