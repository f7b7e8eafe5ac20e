"""What a caller can watch: the logger `nas_sdk`, event hooks, the last response.

Nothing here ever holds a token, a header or a body.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import NamedTuple

from ..errors import ConfigurationError, NasError
from .loops import is_async

LOGGER = logging.getLogger("nas_sdk")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}


class RequestEvent(NamedTuple):
    """A request is about to be sent; `attempt` counts from 1 within the call."""

    operation: str
    method: str
    path: str
    attempt: int


class ResponseEvent(NamedTuple):
    """An answer was read; `attempts` and `elapsed` (seconds) are those of the call so far.

    `date` is what the answer's header of that name says: the time by NAS's clock.
    """

    operation: str
    method: str
    path: str
    status: int
    request_id: str | None
    attempts: int
    elapsed: float
    date: str | None = None


class RetryEvent(NamedTuple):
    """An attempt failed and the call is sent again after `wait` seconds."""

    operation: str
    attempts: int
    error: NasError
    wait: float


class Hooks(NamedTuple):
    """Callables that are called with events. They run inside the call and must not block."""

    on_request: Callable[[RequestEvent], object] | None = None
    on_response: Callable[[ResponseEvent], object] | None = None
    on_retry: Callable[[RetryEvent], object] | None = None

    def refuse_async(self) -> Hooks:
        """These, for a client that awaits nothing; ConfigurationError for an `async def`."""
        for name, hook in self._asdict().items():
            if is_async(hook):
                raise ConfigurationError(f"{name}: an async function is for AsyncNasClient")
        return self


def configure_logging(level: str | None = None) -> None:
    """Write the logger `nas_sdk` to stderr when `NAS_LOG` (or `level`) is debug or info."""
    chosen = _LEVELS.get((level or os.environ.get("NAS_LOG", "")).strip().lower())
    if chosen is None or any(handler.name == "NAS_LOG" for handler in LOGGER.handlers):
        return
    handler = logging.StreamHandler()
    handler.name = "NAS_LOG"
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(chosen)
