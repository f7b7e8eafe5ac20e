"""Tokens: checked, cached until NAS refuses them, fetched by one caller at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, TokenError
from .clock import Clock

if TYPE_CHECKING:
    import anyio

TokenSource = str | Callable[[], str]
"""A token, or a callable that returns one; it is called again after a 401."""
AsyncTokenSource = str | Callable[[], str | Awaitable[str]]
"""The same for `AsyncNasClient`: the callable may be asynchronous."""

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


_SHAPE = re.compile(r"[\x21-\x7e]+")


class Token:
    """One access token. Its value shows neither in `repr` nor in an error."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
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

    def __repr__(self) -> str:
        return "<Token>"


class _Cache:
    """What both kinds of source share: the token in use, and how the last fetch ended.

    A caller notes `rounds` before it queues for the lock. When it has moved by then, some
    other caller fetched meanwhile, and its outcome, a failure too, serves this one.
    """

    def __init__(self, source: object) -> None:
        self.fixed = isinstance(source, str)
        self.token = Token(source) if self.fixed else None
        self.rounds = 0
        self.failure = ""

    def usable(self, refused: Token | None) -> Token | None:
        """The token to use, None when one must be fetched. A fixed one is all there is."""
        token = self.token
        return token if self.fixed or token is not refused else None

    def keep(self, value: object) -> None:
        try:
            self.token = Token(value)
        except TokenError as error:
            self.failure = error.message
        else:
            self.failure = ""
        self.rounds += 1

    def fail(self, error: Exception) -> TokenError:
        self.failure = f"the token source raised {type(error).__name__}"
        self.rounds += 1
        return TokenError(self.failure)

    def outcome(self) -> Token:
        if self.token is None or self.failure:
            raise TokenError(self.failure)
        return self.token


class Tokens:
    """The tokens of a `NasClient`. Safe to use from many threads."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._cache = _Cache(_checked_source(source))
        self._lock = threading.Lock()

    def get(self, refused: Token | None) -> Token:
        """The token to send, a new one if `refused` is the one in use; may raise TokenError."""
        rounds = self._cache.rounds
        token = self._cache.usable(refused)
        if token is not None:
            return token
        with self._lock:
            if self._cache.rounds == rounds:
                self._fetch()
            return self._cache.outcome()

    def _fetch(self) -> None:
        assert callable(self._source)
        try:
            value: object = self._source()
        except Exception as error:
            raise self._cache.fail(error) from error
        if isinstance(value, Awaitable):
            getattr(value, "close", lambda: None)()
            value = None
        self._cache.keep(value)


class AsyncTokens:
    """The tokens of an `AsyncNasClient`. Safe to use from many tasks of one event loop."""

    def __init__(self, source: AsyncTokenSource) -> None:
        self._source = source
        self._cache = _Cache(_checked_source(source))
        self._lock: anyio.Lock | None = None

    async def get(self, refused: Token | None) -> Token:
        """As `Tokens.get`."""
        rounds = self._cache.rounds
        token = self._cache.usable(refused)
        if token is not None:
            return token
        async with self._mutex():
            if self._cache.rounds == rounds:
                await self._fetch()
            return self._cache.outcome()

    def _mutex(self) -> anyio.Lock:
        import anyio

        if self._lock is None:
            self._lock = anyio.Lock()
        return self._lock

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
                value = await anyio.to_thread.run_sync(source)
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
