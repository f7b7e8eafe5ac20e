"""Keep NAS in step with what is desired, for as long as a process lives.

Every event asks a `Reconciler` for the same act, a converge. It runs at most one at a time,
and one that begins after a request satisfies it, so thousands of requests cost a handful
of converges. What failed is tried again with backoff.
"""

from __future__ import annotations

import logging
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from .planning import Desired, OneShot, plan
from .runtime import Runtime

if TYPE_CHECKING:
    from .._core.bulk import Progress
    from ..client import NasClient

BACKOFF = (1.0, 60.0)
"""The first and the longest wait after a failure, in seconds."""
LOGIN_WAIT = 30.0
"""The least wait after the token was refused or could not be had, in seconds."""
DELAY_SECONDS = 2.0
"""How long a heal leaves it to the event behind it to converge by itself."""
ARM_SECONDS = 15.0
"""The patience of one arm ahead of a converge; the converge has more."""
LOOK_AGAIN_SECONDS = 60.0
"""When what can change without a word is looked at again."""
ROUNDS = 3
"""How often a converge starts over because what is desired changed meanwhile."""

HINT = "restore the hosted credential in the portal; a new login does not help"
"""What to do when NAS does not know this agent."""

PERMANENT_ERRORS = (BadRequestError, InvalidRequestError)
FATAL_ERRORS = (ConfigurationError, IdentityRejectedError)


class Reconciler(ABC):
    """Subclass it to say what is desired. Safe to use from many threads.

    `log` is told of every converge that changed something, and of every failure with what
    happens next.
    """

    log = logging.getLogger("nas_sdk")

    def __init__(self, callback_url: str, runtime: Runtime) -> None:
        """`callback_url` is the agent's public base URL. Nothing starts before `request`."""
        self.callback_url = callback_url
        self.runtime = runtime
        self.on_fatal_error: Callable[[], object] = lambda: None
        """Called once when nothing more is sent."""
        self.on_progress: Progress | None = None
        """Called as `NasClient.provision_many` does while a converge sends many."""
        self.is_stopping: Callable[[], bool] = lambda: False
        """Whether failures are not tried again any more."""
        self.fatal_error = False
        """NAS does not know this agent, or cannot be reached as configured: nothing is sent."""
        self.last_error = "NAS has not answered yet"
        """What is wrong with the last converge; empty when nothing is."""
        self.hint = ""
        """What a person has to do about it, once this has given up."""
        self.failed_jobs: tuple[str, ...] = ()
        """The job ids whose write failed in it, or whose fire time cannot be read."""
        self.condition = runtime.condition()
        self._requested_ticket = self._completed_ticket = 0
        self._next: float | None = None
        self._not_before = 0.0
        self._working = self._following = False
        self._failures = 0
        self._last: Sequence[OneShot] | None = None
        self._doubt = ""

    @abstractmethod
    def client(self) -> NasClient:
        """The client to use; asked for every converge."""

    @abstractmethod
    def desired(self, listed: Collection[str] | None) -> Desired:
        """What should be armed now, where NAS lists these job ids (None: that is unknown)."""

    def request(self, delay: float = 0.0) -> int:
        """Ask for a converge that begins in `delay` seconds at the latest; returns a ticket."""
        with self.condition:
            self._requested_ticket += 1
            at = self.runtime.monotonic() + delay
            self._next = at if self._next is None else min(self._next, at)
            self.condition.notify_all()
            if not (self._working or self.fatal_error):
                self._working = True
                try:
                    self.runtime.spawn(self._work, "nas-reconciler")
                except BaseException:
                    self._working = False  # or no later request would be served
                    raise
            return self._requested_ticket

    def wait(self, ticket: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a request to succeed, and tell whether it did."""
        with self.condition:
            self.condition.wait_for(
                lambda: self._completed_ticket >= ticket or self.fatal_error, timeout
            )
            return self._completed_ticket >= ticket

    def follow(self, file: Path, stopped: threading.Event) -> None:
        """Converge soon after the file changes what is desired, until `stopped` is set.

        A call while it does so changes nothing.
        """
        with self.condition:
            again, self._following = self._following, True
        if not again:
            self.runtime.spawn(lambda: self._follow(file, stopped), "nas-changes")

    def _follow(self, file: Path, stopped: threading.Event) -> None:
        try:
            for _ in self.runtime.changes(file, stopped):
                if self._may_have_moved():
                    self.request(DELAY_SECONDS)
        except Exception as error:
            self.log.warning("changes of %s are not noticed any more: %s", file, error)
        finally:
            self._following = False

    def _may_have_moved(self) -> bool:
        try:
            return self.has_moved()
        except Exception:
            return True  # a store that is half saved; the converge tries again, and says why

    def arm(self, job_id: str, fire_at: str) -> None:
        """Arm one job now, ahead of the next converge. Raises NasError.

        Sends nothing while NAS has asked for patience, nor after giving up.
        """
        if self.fatal_error or self.runtime.monotonic() < self._not_before:
            return
        try:
            key = f"{job_id}:{fire_at}"
            client = self.client().with_options(deadline=ARM_SECONDS)
            client.provision(job_id, fire_at, self.callback_url, dedup_key=key)
        except FATAL_ERRORS as error:
            self._stop_for_good(error)
            raise

    def has_moved(self) -> bool:
        """Whether something else is desired than the last converge saw."""
        if self._last is None:
            return True
        last = self._last
        want = self.desired(None)
        drift = plan(want.one_shots, last, now=self._now(), protect=want.protected)
        return bool(drift.arms or drift.cancels) or want.problem not in ("", self._doubt)

    def _now(self) -> int:
        return int(self.runtime.time() * 1000)

    def _work(self) -> None:
        while (ticket := self._take()) is not None:
            doubt = ""
            try:
                report = self._reconcile()
                doubt = report.problem
                unusable = report.plan.unusable
                failed = (*(outcome.job_id for outcome in report.failed), *unusable)
                errors: list[Exception] = [*report.errors, *map(_unreadable, unusable)]
            except Exception as error:
                failed, errors = (), [error]
            self._settle(ticket, failed, errors)
            self._tell_doubt(doubt)

    def _tell_doubt(self, doubt: str) -> None:
        """What may not be all is told once, and looked at again."""
        if doubt:
            self.last_error = self.last_error or doubt
            self.request(LOOK_AGAIN_SECONDS)
        if doubt not in ("", self._doubt):
            self.log.warning("nothing is cancelled: %s", doubt)
        self._doubt = doubt

    def _take(self) -> int | None:
        """Wait for the time of the next converge; None when none is asked for."""
        with self.condition:
            while self._next is not None and not self.fatal_error:
                left = max(self._next, self._not_before) - self.runtime.monotonic()
                if left <= 0:
                    self._next = None
                    return self._requested_ticket
                self.condition.wait(left)
            self._working = False
            return None

    def _reconcile(self) -> Report:
        client = self.client()
        for _ in range(ROUNDS):
            report = converge(
                client,
                self._desired,
                callback_url=self.callback_url,
                now=self._now(),
                on_progress=self.on_progress,
            )
            self._tell(report)
            written = report.plan.arms or report.plan.cancels
            # Another process may have changed things while the writes were on their way.
            if not (written and report.ok and self.has_moved()):
                break
        return report

    def _desired(self, listed: Collection[str] | None) -> Desired:
        want = self.desired(listed)
        self._last = want.one_shots
        return want

    def _tell(self, report: Report) -> None:
        failed = {outcome.job_id for outcome in report.failed}
        armed = sum(one.job_id not in failed for one in report.plan.arms)
        cancelled = sum(job_id not in failed for job_id in report.plan.cancels)
        if armed or cancelled:
            self.log.info("armed %d, cancelled %d, failed %d", armed, cancelled, len(failed))

    def _settle(self, ticket: int, failed: tuple[str, ...], errors: list[Exception]) -> None:
        self.failed_jobs = failed
        self.last_error = (str(errors[0]) or type(errors[0]).__name__) if errors else ""
        fatal = [error for error in errors if isinstance(error, FATAL_ERRORS)]
        passing = [error for error in errors if not isinstance(error, PERMANENT_ERRORS)]
        if fatal:
            self._stop_for_good(fatal[0])
        elif passing:
            self._retry(passing)
        else:
            for error in errors:
                self.log.warning("this cannot be armed: %s", error)
            with self.condition:
                self._completed_ticket, self._failures = ticket, 0
                self.condition.notify_all()

    def _retry(self, errors: list[Exception]) -> None:
        """Come back after the wait NAS asked for and one of our own."""
        if self.is_stopping():
            return
        first, longest = BACKOFF
        step = min(longest, first * 2.0 ** min(self._failures, 10))
        asked = max(_asked(error) for error in errors)
        wait = asked + step * (0.5 + random.random() / 2)  # noqa: S311 - jitter, no secret
        self.log.warning("not everything is armed: %s; again in %.0f s", errors[0], wait)
        with self.condition:
            self._failures += 1
            self._not_before = self.runtime.monotonic() + asked
        self.request(wait)

    def _stop_for_good(self, error: Exception) -> None:
        is_unknown = isinstance(error, IdentityRejectedError)
        with self.condition:
            again, self.fatal_error, self.last_error = self.fatal_error, True, str(error)
            self.hint = HINT if is_unknown else "correct that setting"
            self.condition.notify_all()
        if again:
            return
        self.log.warning("nothing more is armed by this process: %s; %s", error, self.hint)
        self.on_fatal_error()


def _unreadable(job_id: str) -> InvalidRequestError:
    return InvalidRequestError(f"when job {job_id} fires cannot be read: give it a new time")


def _asked(error: Exception) -> float:
    """Seconds NAS, or the login, wants to be left alone."""
    if isinstance(error, (TokenError, UnauthorizedError)):
        return LOGIN_WAIT
    return (error.retry_after or 0.0) if isinstance(error, StatusError) else 0.0
