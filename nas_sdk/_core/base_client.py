"""What both clients hold, besides their connections and tokens."""

from __future__ import annotations

import copy
from typing import Self

import httpx

from .clock import Clock
from .config import (
    DEFAULT_ATTEMPTS,
    DEFAULT_DEADLINE,
    DEFAULT_TIMEOUT,
    NOT_GIVEN,
    ClientSettings,
    Endpoint,
    NotGiven,
    Options,
    Timeout,
    base_url,
    user_agent,
)
from .events import LAST_RESPONSE, Hooks, ResponseEvent, configure_logging

configure_logging()


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
        hooks: Hooks,
        clock: Clock | None,
    ) -> None:
        defaults = Options(DEFAULT_TIMEOUT, DEFAULT_ATTEMPTS, DEFAULT_DEADLINE)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": user_agent(product),
        }
        self._settings = ClientSettings(
            Endpoint(base_url(url, allow_http=allow_http), headers),
            defaults.replace(timeout, max_attempts, deadline),
            hooks,
            clock or Clock(),
        )

    def _adopt(self, headers: httpx.Headers) -> None:
        """Send the headers of an HTTP client that was passed in, too; ours win."""
        self._settings.endpoint.adopt(headers)

    def with_options(
        self,
        *,
        timeout: Timeout | NotGiven = NOT_GIVEN,
        max_attempts: int | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
    ) -> Self:
        """A view of this client with other options, sharing its connections and its token.

        Closing the view does nothing; closing the client it came from ends both.
        """
        view = copy.copy(self)
        options = self._settings.options.replace(timeout, max_attempts, deadline)
        view._settings = self._settings._replace(options=options)
        view._is_view = True
        return view

    @property
    def last_response(self) -> ResponseEvent | None:
        """What the last call of this thread or task that had an answer has cost."""
        return LAST_RESPONSE.get()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.endpoint.base_url}>"
