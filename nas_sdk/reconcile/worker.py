"""One act at a time, in a thread that lives while there is something to do.

Every request asks for the same act, and one that begins after a request satisfies it, so
thousands of requests cost a handful of acts.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from .._core import process
from .policy import DEFAULT, ReconcilePolicy
from .runtime import Runtime


class Worker:
    """Safe to use from many threads. Nothing starts before the first request."""

    def __init__(
        self,
        act: Callable[[int], object],
        runtime: Runtime,
        name: str,
        policy: ReconcilePolicy = DEFAULT,
    ) -> None:
        """`act` gets the ticket that it serves, and calls `complete`, `retry` or `pause`."""
        self._act, self._runtime, self._name = act, runtime, name
        self._policy = policy
        self._requested = self._completed = self._failures = 0
        self._next: float | None = None
        self._not_before = 0.0
        self._paused = self._stopped = False
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """The thread is the parent's, which serves what it was asked for; see `request`."""
        self._condition = self._runtime.condition()
        self._working = False

    def request(self, delay: float = 0.0) -> int:
        """Ask for an act that begins in `delay` seconds at the latest; returns a ticket."""
        with self._condition:
            self._requested += 1
            at = self._runtime.monotonic() + delay
            self._next = at if self._next is None else min(self._next, at)
            self._condition.notify_all()
            if not (self._working or self._stopped):
                self._working = True
                try:
                    self._runtime.spawn(self._work, self._name)
                except BaseException:
                    self._working = False  # or no later request would be served
                    raise
            return self._requested

    def wait(self, ticket: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a request to succeed, and tell whether it did."""

        def is_over() -> bool:
            return self._completed >= ticket or self._paused or self._stopped

        with self._condition:
            self._condition.wait_for(is_over, timeout)
            return self._completed >= ticket

    @property
    def is_patient(self) -> bool:
        """Whether nothing is to be done now, as it was asked for."""
        return self._runtime.monotonic() < self._not_before

    def complete(self, ticket: int) -> None:
        """The requests up to this one are satisfied."""
        with self._condition:
            self._completed, self._failures, self._paused = ticket, 0, False
            self._condition.notify_all()

    def retry(self, asked: float) -> float:
        """Act again after `asked` seconds and a wait that doubles; returns both together."""
        doubled = self._policy.backoff_first * 2.0 ** min(self._failures, 10)
        step = min(self._policy.backoff_longest, doubled)
        wait = asked + step * (0.5 + random.random() / 2)  # noqa: S311 - jitter, no secret
        with self._condition:
            self._failures, self._paused = self._failures + 1, False
            self._not_before = self._runtime.monotonic() + asked
        self.request(wait)
        return wait

    def pause(self, seconds: float) -> None:
        """Act again in so many seconds, whatever is requested; whoever waits is told."""
        with self._condition:
            self._paused = True
            self._not_before = self._runtime.monotonic() + seconds
            self._condition.notify_all()
        self.request(seconds)

    def resume(self) -> None:
        """Act at the next request, also in a pause."""
        with self._condition:
            if self._paused:
                self._paused, self._not_before = False, 0.0

    def stop(self) -> None:
        """Act no more; whoever waits is told."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def _work(self) -> None:
        try:
            while (ticket := self._take()) is not None:
                self._act(ticket)
        except BaseException:
            with self._condition:
                self._working = False  # the next request starts another thread
            raise

    def _take(self) -> int | None:
        """Wait for the time of the next act; None when none is asked for."""
        with self._condition:
            while self._next is not None and not self._stopped:
                left = max(self._next, self._not_before) - self._runtime.monotonic()
                if left <= 0:
                    self._next = None
                    return self._requested
                self._condition.wait(left)
            self._working = False
            return None
