"""What both clients hold, besides their connections and tokens."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeVar

import httpx

from .._typing import override
from ..errors import ConfigurationError, InvalidRequestError
from .clock import Clock
from .config import (
    DEFAULT_ATTEMPTS,
    DEFAULT_DEADLINE,
    DEFAULT_TIMEOUT,
    ClientSettings,
    Endpoint,
    NotGiven,
    Options,
    Timeout,
    base_url,
    checked_callable,
    user_agent,
)
from .events import Hooks, ResponseEvent, configure_logging
from .headers import checked_headers
from .operations import Call

T = TypeVar("T")
configure_logging()


_LASTS: ContextVar[Mapping[weakref.ref[_Last], ResponseEvent]] = ContextVar(
    "nas_sdk_last_responses", default=MappingProxyType({})
)
"""One variable for all clients: a context keeps for good whatever variable was set in it."""


class _Last:
    """The last response of one client and its views, in this thread or task."""

    def __init__(self) -> None:
        self._ref = weakref.ref(self)

    def get(self) -> ResponseEvent | None:
        return _LASTS.get().get(self._ref)

    def set(self, event: ResponseEvent | None) -> None:
        """None, where there was no answer, changes nothing."""
        if event is None:
            return
        known = _LASTS.get()
        if self._ref not in known:  # a new client: those that are gone make room
            known = {ref: each for ref, each in known.items() if ref() is not None}
        _LASTS.set({**known, self._ref: event})


class BaseClient:
    """The settings of a client, and the views of it."""

    _settings: ClientSettings
    _is_view = False

    def _set_up(
        self,
        url: str | None,
        timeout: Timeout,
        max_attempts: int,
        deadline: float | None,
        allow_http: bool,
        product: str | None,
        default_headers: Mapping[str, str] | None,
        hooks: Hooks,
        clock: Clock | None,
    ) -> None:
        if clock is not None and not isinstance(clock, Clock):
            raise ConfigurationError(f"clock: a Clock is needed, not {type(clock).__name__}")
        for name, hook in hooks._asdict().items():
            checked_callable(name, hook)
        defaults = Options(DEFAULT_TIMEOUT, DEFAULT_ATTEMPTS, DEFAULT_DEADLINE)
        _load_what_calls_import()
        try:
            theirs = checked_headers(default_headers or {})
        except ValueError as error:
            raise ConfigurationError(f"default_headers: {error}") from None
        headers = {
            **theirs,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent(product),
        }
        self._settings = ClientSettings(
            Endpoint(base_url(url, allow_http=allow_http), headers),
            defaults.replace(timeout, max_attempts, deadline),
            hooks,
            clock or Clock(),
        )
        self._last = _Last()

    def _adopt(self, headers: Any) -> None:
        """Send the headers of an HTTP client that was passed in, too; ours win."""
        self._settings.endpoint.adopt(httpx.Headers(headers.raw))

    def _view(
        self,
        timeout: Timeout | NotGiven,
        max_attempts: int | NotGiven,
        deadline: float | NotGiven | None,
    ) -> Self:
        view = copy.copy(self)
        options = self._settings.options.replace(timeout, max_attempts, deadline)
        view._settings = self._settings._replace(options=options)
        view._is_view = True
        return view

    @property
    def last_response(self) -> ResponseEvent | None:
        """What the last answered call of this client, in this thread or task, has cost."""
        return self._last.get()

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} holds connections and a token: "
            "pass on what it is made of, and make one where it is used"
        )

    def __copy__(self) -> Self:
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.endpoint.base_url}>"


def _load_what_calls_import() -> None:
    """Import now what is imported on first use, so that importing this package stays cheap.

    A signal's exception inside an import can leave Python's import lock held for ever, and
    calls are what signals interrupt.
    """
    for module in ("_core.bulk", "_core.replies", "_generated.models"):
        import_module(f"nas_sdk.{module}")
    for operation in ("provision", "cancel", "list_"):
        import_module(f"nas_sdk._generated.api.one_shots.{operation}")
    import_module("email.utils")


def with_headers(call: Call[T], extra: Mapping[str, str] | None) -> Call[T]:
    """The call with the caller's own headers; InvalidRequestError for one that cannot be sent."""
    if not extra:
        return call
    try:
        return call._replace(headers={**checked_headers(extra), **call.headers})
    except ValueError as error:
        raise InvalidRequestError(f"extra_headers: {error}", field="extra_headers") from None
