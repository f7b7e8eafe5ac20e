"""Keep NAS in step with what is desired, for as long as a process lives.

Every event asks a `Reconciler` for the same: list, plan, send the difference. What failed is
tried again with backoff.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from ..errors import (
    BadRequestError,
    ConfigurationError,
    IdentityRejectedError,
    InvalidRequestError,
    StatusError,
    TokenError,
    UnauthorizedError,
)
from .apply import Report, converge
from .planning import Desired, OneShot, Plan, due_ms, plan
from .policy import DEFAULT, ReconcilePolicy
from .runtime import Runtime
from .worker import Worker

if TYPE_CHECKING:
    from .._core.bulk import Progress
    from ..client import NasClient

HINT = "restore the hosted credential in the portal; a new login does not help"
"""What to do when NAS does not know this agent."""

PERMANENT_ERRORS = (BadRequestError, InvalidRequestError)
FATAL_ERRORS = (ConfigurationError, IdentityRejectedError)


@attrs.frozen
class Status:
    """How the last reconcile went."""

    last_error: str = "NAS has not answered yet"
    """What is wrong; empty when nothing is."""
    hint: str = ""
    """What a person has to do about it, where nothing else helps."""
    failed_jobs: tuple[str, ...] = ()
    """The job ids whose write failed, or whose fire time cannot be read."""
    fatal_error: bool = False
    """NAS does not know this agent, or cannot be reached as configured: nothing is sent for
    `ReconcilePolicy.refused_wait`, unless `try_again` is called."""
    problem: str = ""
    """Why not everything that should be armed may be known; empty when it is."""


class Reconciler(ABC):
    """Subclass it to say what is desired. Safe to use from many threads.

    `log` gets every reconcile that changed something, and every failure with what
    happens next. `status` is replaced as a whole.
    """

    log = logging.getLogger("nas_sdk")

    def __init__(
        self,
        callback_url: str,
        runtime: Runtime,
        *,
        on_fatal_error: Callable[[], object] = lambda: None,
        is_stopping: Callable[[], bool] = lambda: False,
        on_progress: Progress | None = None,
        policy: ReconcilePolicy = DEFAULT,
    ) -> None:
        """`callback_url` is the agent's public base URL. Nothing starts before `request`.

        `on_fatal_error` is called when `status` comes to have one, `is_stopping` tells whether
        failures are not tried again any more, and `on_progress` is called as
        `NasClient.provision_many` does while many are sent; `policy` says how patient it is.
        """
        self.callback_url = callback_url
        self.runtime = runtime
        self.policy = policy
        self.status = Status()
        self._on_fatal_error, self._is_stopping = on_fatal_error, is_stopping
        self.on_progress = on_progress
        self._worker = Worker(self._attempt, runtime, "nas-reconciler", policy)
        self._last: Sequence[OneShot] | None = None
        self._tried: dict[str, int] = {}
        self._asked_at = 0.0
        """When NAS was asked for the list that `desired` is told, in seconds since the epoch."""

    @abstractmethod
    def client(self) -> NasClient:
        """The client to use; asked for every reconcile."""

    @abstractmethod
    def desired(self, listed: Mapping[str, str] | None) -> Desired:
        """What should be armed now, where NAS lists these fire times (None: that is unknown)."""

    def on_status(self) -> None:  # noqa: B027 - nothing has to be done
        """Called after every reconcile, whose outcome is in `status`. What it raises is logged."""

    def request(self, delay: float = 0.0) -> int:
        """Ask for a reconcile that begins in `delay` seconds at the latest; returns a ticket."""
        return self._worker.request(delay)

    def try_again(self, delay: float = 0.0) -> int:
        """As `request`, also after a fatal error: for a sign that NAS knows this agent again."""
        self._worker.resume()
        return self.request(delay)

    def wait(self, ticket: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a request to succeed, and tell whether it did.

        Tells at once that it did not after a fatal error.
        """
        return self._worker.wait(ticket, timeout)

    def stop(self) -> None:
        """Send nothing, now and later; what should be armed can still be asked for."""
        self.status = attrs.evolve(self.status, fatal_error=True)
        self._worker.stop()

    def arm(self, job_id: str, fire_at: str) -> None:
        """Arm one job now, ahead of the next reconcile. Raises NasError.

        Sends nothing while NAS has asked for patience, nor after a fatal error.
        """
        if self.status.fatal_error or self._worker.is_patient:
            return
        try:
            key = f"{job_id}:{fire_at}"
            client = self.client().with_options(deadline=self.policy.arm)
            client.provision(job_id, fire_at, self.callback_url, dedup_key=key)
        except FATAL_ERRORS as error:
            self._pause(error)
            raise
        self.note_try(job_id, due_ms(fire_at))

    @property
    def tried(self) -> Mapping[str, int]:
        """When each job was last fired, or is armed to be; see `plan`. As it is now and later."""
        return MappingProxyType(self._tried)

    def note_try(self, job_id: str, at: int | None) -> None:
        """Note when a job was fired, or is armed to be; in ms since the epoch."""
        if at is not None:
            self._tried[job_id] = at

    def has_moved(self) -> bool:
        """Whether something else is desired than the last reconcile saw, or may be."""
        last = self._last
        if last is None:
            return True
        try:
            want = self.desired(None)
        except Exception:
            return True  # a store that is half saved; the reconcile tries again, and says why
        drift = plan(want.one_shots, last, now=self._now(), protect=want.protected)
        changed = bool(drift.arms or drift.cancels)
        return changed or want.problem not in ("", self.status.problem)

    def _now(self) -> int:
        return int(self.runtime.time() * 1000)

    def _attempt(self, ticket: int) -> None:
        before, report = self.status, Report(Plan())
        errors: list[BaseException] = []
        try:
            report = self._reconcile()
            errors += [*report.errors, *map(_unreadable, report.plan.unusable)]
        except (Exception, SystemExit) as error:  # the caller's code may raise anything
            errors.append(error)
        if report.problem not in ("", before.problem):
            self.log.warning("nothing is cancelled: %s", report.problem)
        failed = (*(outcome.job_id for outcome in report.failed), *report.plan.unusable)
        text = (str(errors[0]) or type(errors[0]).__name__) if errors else report.problem
        if before.fatal_error or not self.status.fatal_error:  # or it was met meanwhile
            self._settle(ticket, Status(text, "", failed, problem=report.problem), errors)
        try:
            self.on_status()
        except Exception as error:  # the next try is asked for, and this thread is to make it
            self.log.warning("how it went cannot be told: %s", error)

    def _reconcile(self) -> Report:
        client = self.client()
        for _ in range(self.policy.rounds):
            self._asked_at = self.runtime.time()
            report = converge(
                client,
                self._desired,
                callback_url=self.callback_url,
                now=self._now(),
                tried=self.tried,
                on_progress=self.on_progress,
            )
            self._tell(report)
            written = report.plan.arms or report.plan.cancels
            # Another process may have changed things while the writes were on their way.
            if not (written and report.ok and self.has_moved()):
                break
        return report

    def _desired(self, listed: Mapping[str, str] | None) -> Desired:
        for job_id, fire_at in (listed or {}).items():
            self.note_try(job_id, due_ms(fire_at))
        want = self.desired(listed)
        self._last = want.one_shots
        for job_id in self._tried.keys() - {one.job_id for one in want.one_shots}:
            if not want.protected(job_id):
                self._tried.pop(job_id, None)
        if want.look_again is not None:
            self.request(want.look_again)
        return want

    def _tell(self, report: Report) -> None:
        failed = {outcome.job_id for outcome in report.failed}
        arms = [one for one in report.plan.arms if one.job_id not in failed]
        for one in arms:
            self.note_try(one.job_id, due_ms(one.fire_at))
        armed = len(arms)
        cancelled = sum(job_id not in failed for job_id in report.plan.cancels)
        if armed or cancelled:
            self.log.info("armed %d, cancelled %d, failed %d", armed, cancelled, len(failed))

    def _settle(self, ticket: int, status: Status, errors: Sequence[BaseException]) -> None:
        fatal = [error for error in errors if isinstance(error, FATAL_ERRORS)]
        passing = [error for error in errors if not isinstance(error, PERMANENT_ERRORS)]
        if fatal:
            self._pause(fatal[0], status)
            return
        self.status = status
        if passing:
            self._retry(passing)
        else:
            for error in errors:
                self.log.warning("this cannot be armed: %s", error)
            self._worker.complete(ticket)
            if errors:  # or it was a gateway in front of NAS that refused them for a while
                self.request(self.policy.refused_wait)

    def _retry(self, errors: Sequence[BaseException]) -> None:
        """Come back after the wait NAS asked for and one of our own."""
        if self._is_stopping():
            return
        wait = self._worker.retry(max(map(self._asked, errors)))
        text = str(errors[0]) or type(errors[0]).__name__
        self.log.warning("not everything is armed: %s; again in %.0f s", text, wait)

    def _asked(self, error: BaseException) -> float:
        """Seconds NAS, or the login, wants to be left alone."""
        if isinstance(error, (TokenError, UnauthorizedError)):
            return self.policy.login_wait
        asked = (error.retry_after or 0.0) if isinstance(error, StatusError) else 0.0
        return min(asked, self.policy.retry_after_max)

    def _pause(self, error: BaseException, status: Status | None = None) -> None:
        hint = HINT if isinstance(error, IdentityRejectedError) else "correct that setting"
        again, wait = self.status.fatal_error, self.policy.refused_wait
        self.status = attrs.evolve(
            status or self.status, last_error=str(error), hint=hint, fatal_error=True
        )
        self._worker.pause(wait)
        if not again:
            text = "nothing is armed: %s; %s; again in %.0f s, or when NAS fires a job"
            self.log.warning(text, error, hint, wait)
            self._on_fatal_error()


def _unreadable(job_id: str) -> InvalidRequestError:
    return InvalidRequestError(f"when job {job_id} fires cannot be read: give it a new time")
