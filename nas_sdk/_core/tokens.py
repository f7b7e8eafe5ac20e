"""Tokens: checked, cached until NAS refuses them, fetched by one caller at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from .._typing import override
from ..errors import ConfigurationError, TokenError
from . import process
from .clock import Clock
from .loops import is_async, running_loop

if TYPE_CHECKING:
    import anyio


class AccessToken(NamedTuple):
    """What a token source returns that knows how long its token lives."""

    value: str
    expires_at: float
    """Seconds since the epoch. The source is called again `EXPIRY_MARGIN` seconds before."""

    @override
    def __repr__(self) -> str:
        return f"AccessToken(…, expires_at={self.expires_at!r})"


TokenSource = str | Callable[[], str | AccessToken]
"""A token, or a callable that returns one; it is called again after a 401, and before the
token expires if it returns an `AccessToken`."""
AsyncTokenSource = str | Callable[[], str | AccessToken | Awaitable[str | AccessToken]]
"""The same for `AsyncNasClient`: the callable may be asynchronous."""

EXPIRY_MARGIN = 30.0
"""A token that expires in fewer seconds is replaced before it is sent."""

RENEW_AGAIN_SECONDS = 300.0
"""A token that was renewed is not renewed again sooner."""


class RenewingSource:
    """A `TokenSource` over a login that keeps its token until it expires.

    A source is called again only after a 401. A login that has the same token then does not
    know that NAS refuses it, and is asked to renew it; then not again for a while
    (`RENEW_AGAIN_SECONDS`), for if a token that is just renewed is refused as well, its age
    is not what is wrong with it.
    """

    def __init__(self, resolve: Callable[[bool], str], clock: Clock | None = None) -> None:
        """`resolve(renew)` returns the login's token, a new one if `renew`; it may raise."""
        self._resolve = resolve
        self._clock = clock or Clock()
        self._last = self._renewed = ""
        self._again = 0.0

    def __call__(self) -> str:
        """The token to use now."""
        token = self._resolve(False)
        now = self._clock.monotonic()
        if token == self._last and (token != self._renewed or now >= self._again):
            token = self._renewed = self._resolve(True)
            self._again = now + RENEW_AGAIN_SECONDS
        self._last = token
        return token


_ASYNC = "an asynchronous token source is for AsyncNasClient"
_SHAPE = re.compile(r"[\x21-\x7e]+")


class Token:
    """One access token. Its value shows neither in `repr` nor in an error."""

    __slots__ = ("expires_at", "value")

    def __init__(self, value: object) -> None:
        self.expires_at = float("inf")
        if isinstance(value, AccessToken):
            self.expires_at = float(value.expires_at)
            value = value.value
        if not isinstance(value, str):
            raise TokenError(f"the token is not a text but {type(value).__name__}")
        if not value:
            raise TokenError("the token is empty: log in, or set the token")
        if not _SHAPE.fullmatch(value):
            raise TokenError(
                "the token holds a space, a line break or a character outside ASCII: "
                "check where it was copied or read from"
            )
        self.value = value

    @override
    def __repr__(self) -> str:
        return "<Token>"


_FETCHES: ContextVar[tuple[object, ...]] = ContextVar("nas_sdk_fetches", default=())
"""The calls of token sources that this thread or task is part of."""


class _Cache:
    """What both kinds of source share: the token in use, and how the last fetch ended.

    A caller notes `rounds` before it queues for the lock. When it has moved by then, some
    other caller fetched meanwhile, and its outcome, a failure too, serves this one.
    """

    def __init__(self, source: object, clock: Clock) -> None:
        self.fixed = isinstance(source, str)
        self.token = Token(source) if self.fixed else None
        self.rounds = 0
        self.failure = ""
        self._clock = clock
        self._fetch: object | None = None
        # By the monotonic clock, so that the wall clock may be wrong by then.
        self._renew_at = float("inf")

    def usable(self, refused: Token | None) -> Token | None:
        """The token to use, None when one must be fetched. A fixed one is all there is."""
        token = self.token
        if self.fixed:
            return token
        return None if token is refused or self._clock.monotonic() >= self._renew_at else token

    def keep(self, value: object) -> None:
        try:
            self.token = token = Token(value)
        except (TokenError, ValueError, TypeError) as error:
            self.failure = getattr(error, "message", "the token's expiry is not a number")
        else:
            self.failure = ""
            left = token.expires_at - self._clock.time()
            # One that is as good as expired is tried all the same, once for each time.
            useful = left - EXPIRY_MARGIN if left > EXPIRY_MARGIN else EXPIRY_MARGIN
            self._renew_at = self._clock.monotonic() + useful
        self.rounds += 1

    def fail(self, error: Exception) -> TokenError:
        self.failure = f"the token source raised {type(error).__name__}"
        if isinstance(error, TokenError):
            self.failure = f"the token source failed: {error.message}"
        self.rounds += 1
        return TokenError(self.failure)

    def refuse_reentry(self) -> None:
        """TokenError where the source called the client that waits for it."""
        if self._fetch is not None and self._fetch in _FETCHES.get():
            raise TokenError("it calls the client that it is to serve, and would wait for itself")

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Around a call of the source."""
        self._fetch = object()
        before = _FETCHES.set((*_FETCHES.get(), self._fetch))
        try:
            yield
        finally:
            self._fetch = None
            _FETCHES.reset(before)

    def outcome(self) -> Token:
        if self.token is None or self.failure:
            raise TokenError(self.failure)
        return self.token


class Tokens:
    """The tokens of a `NasClient`. Safe to use from many threads."""

    def __init__(self, source: TokenSource, clock: Clock | None = None) -> None:
        self._source = source
        self._cache = _Cache(_checked_source(source), clock or Clock())
        if is_async(source):
            raise ConfigurationError(f"token: {_ASYNC}")
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """Whoever fetches in the parent does not in a child."""
        self._lock = threading.Lock()

    def get(self, refused: Token | None) -> Token:
        """The token to send, a new one if `refused` is the one in use; may raise TokenError."""
        rounds = self._cache.rounds
        token = self._cache.usable(refused)
        if token is not None:
            return token
        if self._lock.locked():  # a signal may have left the mark of a fetch that has ended
            self._cache.refuse_reentry()
        with self._lock:
            if self._cache.rounds == rounds:
                with self._cache.fetching():
                    self._fetch()
            token = self._cache.outcome()  # before another fetch has one of its own
        return token  # noqa: RET504 - from within, a signal could leave the lock held

    def _fetch(self) -> None:
        assert callable(self._source)
        try:
            value: object = self._source()
        except Exception as error:
            raise self._cache.fail(error) from error
        if isinstance(value, Awaitable):
            getattr(value, "close", lambda: None)()
            raise self._cache.fail(TokenError(_ASYNC))
        self._cache.keep(value)


class AsyncTokens:
    """The tokens of an `AsyncNasClient`. Safe to use from many tasks and event loops."""

    def __init__(self, source: AsyncTokenSource, clock: Clock | None = None) -> None:
        self._source = source
        self._cache = _Cache(_checked_source(source), clock or Clock())
        self._locks: WeakKeyDictionary[Any, anyio.Lock] = WeakKeyDictionary()

    async def get(self, refused: Token | None) -> Token:
        """As `Tokens.get`."""
        rounds = self._cache.rounds
        token = self._cache.usable(refused)
        if token is not None:
            return token
        self._cache.refuse_reentry()
        async with self._lock:
            if self._cache.rounds == rounds:
                with self._cache.fetching():
                    await self._fetch()
            token = self._cache.outcome()  # before another fetch has one of its own
        return token  # noqa: RET504 - from within, a signal could leave the lock held

    @property
    def _lock(self) -> anyio.Lock:
        """That of the event loop that is running."""
        import anyio

        loop = running_loop()
        return self._locks.get(loop) or self._locks.setdefault(loop, anyio.Lock())

    async def _fetch(self) -> None:
        import inspect

        import anyio.to_thread

        source = self._source
        assert callable(source)
        value: object
        try:
            if inspect.iscoroutinefunction(source):
                value = source()
            else:  # it may block: keep it off the event loop
                value = await anyio.to_thread.run_sync(source, abandon_on_cancel=True)
            if isinstance(value, Awaitable):
                value = await value
        except Exception as error:
            raise self._cache.fail(error) from error
        self._cache.keep(value)


def _checked_source(source: object) -> object:
    if not isinstance(source, str) and not callable(source):
        raise ConfigurationError(
            f"token: a text or a callable that returns one is needed, not {type(source).__name__}"
        )
    return source
