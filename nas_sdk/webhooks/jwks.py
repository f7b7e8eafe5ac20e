"""NAS's public keys: fetched in the background, kept, and shared by threads and tasks.

- Keys are fresh for `lifespan`. After that they still verify while they are fetched anew,
  and for `stale_for` longer when that fails: an outage of the endpoint refuses no fire.
- An unknown `kid` may mean that NAS has a new key, so it causes a fetch, but at most one
  per `cooldown`, however many there are: anybody can make up key ids.
- After a failed fetch the next one waits 1, 2, 4 … seconds, at most `cooldown`.

`_key_state.py` holds these rules and does no I/O. `JwksCache` adds one thread per fetch, one
fetch at a time whoever asked for it, and two ways to wait for it: `get` for threads and
`get_async` for tasks. So one cache serves both.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from typing import NamedTuple

import httpx

from .._core import process
from .._core.clock import wall_time
from .._core.config import checked_callable, checked_seconds, checked_span
from .._core.loops import call_soon_threadsafe, is_async
from ..errors import ConfigurationError
from ._fetch import JwksFetchError, fetch_over_http
from ._key_state import KeySetState
from ._keys import UnusableKeyError, VerifyKey, parse_key_set, require_pyjwt

# Errors whose text holds nothing of an answer; of a foreign one that is not known.
_TOLD = (JwksFetchError, UnusableKeyError, ImportError)
_log = logging.getLogger("nas_sdk.webhooks.jwks")


class _PendingFetch(NamedTuple):
    """A fetch under way; `began` by the monotonic clock."""

    done: Future[None]
    began: float


class JwksCache:
    """The keys behind one JWKS URL. Safe for threads and event loops, all at once.

    A key that is known is returned at once, also while keys are being fetched. For any
    other, `get` waits for the fetch, unless `max_wait` is given. That is for callers that
    hold up an event loop: they wait `max_wait` seconds in all for the first keys, and for
    nothing else. What they refuse meanwhile is fetched in the background, and NAS delivers
    again.
    """

    def __init__(
        self,
        source: str | Callable[[], bytes | str],
        *,
        lifespan: float = 300.0,
        stale_for: float = 24 * 3600.0,
        cooldown: float = 30.0,
        timeout: float = 5.0,
        max_wait: float | None = None,
        allow_http: bool = False,
        http_client: httpx.Client | None = None,
        clock: Callable[[], float] = wall_time,
    ) -> None:
        """Fetch nothing yet; see `prefetch`.

        source: the JWKS URL (https, or http on loopback or with `allow_http`; else
            ConfigurationError), or a function that returns the document. It is called in a
            thread and may raise anything.
        lifespan, stale_for, cooldown, timeout, max_wait: seconds.
        http_client: sends the requests instead of a client of our own; it stays open. Nothing
            ends a fetch of it whose head arrives byte by byte; while two hang, none is begun.
        clock: seconds since the epoch. The wall clock, because the monotonic one stands
            still while an idle machine is suspended.
        """
        require_pyjwt()
        checked_callable("clock", clock)
        if is_async(source):
            raise ConfigurationError("source: it is called in a thread, so no async function")
        if callable(source):
            self._fetch = source
        else:
            self._fetch = fetch_over_http(
                source, timeout=timeout, allow_http=allow_http, http_client=http_client
            )
        for name, span in {
            "lifespan": lifespan,
            "stale_for": stale_for,
            "cooldown": cooldown,
        }.items():
            checked_span(name, span)
        if checked_seconds("timeout", timeout) is None:
            raise ConfigurationError("timeout: seconds are needed, as every fetch has to end")
        if max_wait is not None:
            checked_span("max_wait", max_wait)
        # A fetch has several steps, each with this timeout; none takes four times as long.
        self._patience = 4 * timeout
        self._state = KeySetState(lifespan, stale_for, cooldown, self._patience)
        self._clock = clock
        self._max_wait = self._wait_left = max_wait
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """A fetch that the parent began is none in a child; the keys it has are as good."""
        self._lock = threading.Lock()
        self._pending: _PendingFetch | None = None
        self._state.abandon()

    @property
    def is_warm(self) -> bool:
        """Whether there are keys to verify with."""
        return self._state.is_warm(self._clock())

    def prefetch(self) -> None:
        """Fetch the keys in the background unless they are fresh. Never waits, never raises."""
        self._start_fetch(None, self._clock())

    def get(self, kid: str) -> VerifyKey | None:
        """The key of that id, or None; waits at most as the class says, and never raises."""
        key, pending = self._look_up(kid)
        if pending is not None:
            asked = time.monotonic()
            wait_for_futures([pending.done], self._allowance(pending))
            self._spend(time.monotonic() - asked)
            key, _ = self._state.find(kid, self._clock())
        return key

    async def get_async(self, kid: str) -> VerifyKey | None:
        """`get` for tasks: the event loop goes on while this waits."""
        key, pending = self._look_up(kid)
        if pending is not None:
            asked = time.monotonic()
            await _wait_in_loop(pending.done, self._allowance(pending))
            self._spend(time.monotonic() - asked)
            key, _ = self._state.find(kid, self._clock())
        return key

    def _look_up(self, kid: str) -> tuple[VerifyKey | None, _PendingFetch | None]:
        """The key; or the fetch to wait for, when there is one that may bring it."""
        now = self._clock()
        key, fresh = self._state.find(kid, now)
        if key is not None and fresh:
            return key, None
        pending = self._start_fetch(kid, now)
        return key, None if key is not None else pending

    def _start_fetch(self, kid: str | None, now: float) -> _PendingFetch | None:
        """The fetch under way, begun here if the rules say so."""
        with self._lock:
            if not self._state.begin(kid, now):
                return self._pending if self._state.is_fetching(now) else None
            pending = self._pending = _PendingFetch(Future(), time.monotonic())
        try:
            threading.Thread(
                target=self._run_fetch, args=(pending, now), name="nas-jwks", daemon=True
            ).start()
        except RuntimeError as error:  # no more threads, or the interpreter is going down
            self._fail(pending, error)
        return pending

    def _run_fetch(self, pending: _PendingFetch, began: float) -> None:
        try:
            keys = parse_key_set(json.loads(self._fetch()))
        except BaseException as error:  # SystemExit, too, would leave everybody waiting
            self._fail(pending, error)
            return
        with self._lock:
            self._state.succeeded(keys, began)
            self._wait_left = self._max_wait
        _log.debug("fetched %d of NAS's keys", len(keys))
        pending.done.set_result(None)

    def _fail(self, pending: _PendingFetch, error: BaseException) -> None:
        with self._lock:
            failures = self._state.failed(self._clock())
        # One warning per outage.
        _log.log(
            logging.WARNING if failures == 1 else logging.DEBUG,
            "NAS's keys could not be fetched: %s; %s",
            error if isinstance(error, _TOLD) else type(error).__name__,
            "the last ones stay in use" if self.is_warm else "every fire is refused until then",
        )
        pending.done.set_result(None)

    def _allowance(self, pending: _PendingFetch) -> float:
        """How many seconds a caller may wait for this fetch."""
        left = pending.began + self._patience - time.monotonic()
        if self._wait_left is not None:
            left = 0.0 if self.is_warm else min(left, self._wait_left)
        return max(0.0, left)

    def _spend(self, seconds: float) -> None:
        with self._lock:
            if self._wait_left is not None and not self._state.is_warm(self._clock()):
                self._wait_left = max(0.0, self._wait_left - seconds)


async def _wait_in_loop(done: Future[None], seconds: float) -> None:
    import anyio

    event, call_soon = anyio.Event(), call_soon_threadsafe()

    def wake(_: Future[None]) -> None:
        with suppress(RuntimeError):  # that loop is closed by now
            call_soon(event.set)

    done.add_done_callback(wake)
    with anyio.move_on_after(seconds):
        await event.wait()
