"""How a client is set up: where NAS is, how patient the client is, who watches it."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.request import getproxies

import httpx

from .._version import __version__
from ..errors import ConfigurationError
from .clock import Clock
from .events import Hooks
from .loopback import is_loopback


class NotGiven:
    """The type of `NOT_GIVEN`, for options whose None has a meaning."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()
DEFAULT_TIMEOUT: Final = httpx.Timeout(connect=5.0, read=15.0, write=15.0, pool=None)
"""Seconds; a free connection of the pool is waited for until the deadline."""
DEFAULT_ATTEMPTS: Final = 4
DEFAULT_DEADLINE: Final = 60.0

Timeout = float | httpx.Timeout | None


class Options(NamedTuple):
    """How patient a client is. Seconds; None is no limit."""

    timeout: httpx.Timeout
    max_attempts: int
    deadline: float | None

    def replace(
        self,
        timeout: Timeout | NotGiven = NOT_GIVEN,
        max_attempts: int | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
    ) -> Options:
        """These options with the ones that are given; ConfigurationError for a bad one."""
        changed = Options(
            self.timeout if isinstance(timeout, NotGiven) else httpx.Timeout(timeout),
            self.max_attempts if isinstance(max_attempts, NotGiven) else max_attempts,
            self.deadline if isinstance(deadline, NotGiven) else deadline,
        )
        if changed.max_attempts < 1:
            raise ConfigurationError("max_attempts: at least 1 is needed")
        if changed.deadline is not None and not changed.deadline > 0:
            raise ConfigurationError("deadline: seconds above 0 are needed, or None for no limit")
        return changed

    def timeouts(self, left: float | None) -> dict[str, float | None]:
        """The time limits of one attempt when `left` seconds remain of the deadline."""
        limits = self.timeout.as_dict()
        if left is None:
            return limits
        return {name: left if limit is None else min(limit, left) for name, limit in limits.items()}


class Endpoint:
    """Where NAS is, and the headers every request carries."""

    def __init__(self, base_url: httpx.URL, headers: Mapping[str, str]) -> None:
        self.base_url = base_url
        self.headers = httpx.Headers(headers).raw
        self.url = lru_cache(maxsize=64)(self._url)

    def _url(self, path: str) -> httpx.URL:
        """The absolute URL of an operation. Kept, because parsing a URL costs more than use."""
        return httpx.URL(f"{self.base_url}{path}")

    def adopt(self, headers: httpx.Headers) -> None:
        """Send these headers, too, where they are not our own."""
        headers = headers.copy()
        headers.pop("authorization", None)
        headers.update(self.headers)
        self.headers = headers.raw

    @property
    def trust_env(self) -> bool:
        """Whether a proxy of the environment may see what is sent: not for this machine."""
        return not is_loopback(self.base_url.host)

    @property
    def is_proxied(self) -> bool:
        """Whether the environment names a proxy; httpx's own pool handles those."""
        return self.trust_env and not getproxies().keys() <= {"no"}


def trust(url: httpx.URL) -> ssl.SSLContext:
    """What to verify the server of a URL with, by the environment's settings.

    To read the usual certificates takes longer than a request. Plain http does without, and
    gets a context that trusts nobody.
    """
    if url.scheme == "http":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()


class ClientSettings(NamedTuple):
    """All of it; immutable, shared between a client and its views."""

    endpoint: Endpoint
    options: Options
    hooks: Hooks
    clock: Clock


def base_url(given: str | None, *, allow_http: bool) -> httpx.URL:
    """The base URL, checked and without a slash at its end; `NAS_BASE_URL` if none is given."""
    text = given or os.environ.get("NAS_BASE_URL", "")
    if not text:
        raise ConfigurationError("no base URL: pass base_url, or set NAS_BASE_URL")
    try:
        url = httpx.URL(text.rstrip("/"))
    except (httpx.InvalidURL, TypeError, AttributeError) as error:
        raise ConfigurationError(f"base_url: not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("base_url: an absolute https URL is needed, such as https://…")
    if not _can_be_dialled(url):
        raise ConfigurationError("base_url: no host can have that name or port")
    if url.userinfo or url.query or url.fragment:
        raise ConfigurationError("base_url: user info, query and fragment have no place in it")
    if url.scheme == "http" and not allow_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"base_url: plain http would show the token to everyone between here and {url.host}: "
            "use https, or pass allow_http=True if that network is yours"
        )
    return url


def _can_be_dialled(url: httpx.URL) -> bool:
    """Whether a resolver and a socket take the host and port, which fail oddly otherwise."""
    try:
        url.host.encode("idna")
    except UnicodeError:
        return False
    return url.port is None or 0 < url.port < 65536


def token_from_environment() -> str:
    """The token of `NAS_TOKEN`; ConfigurationError when there is none."""
    token = os.environ.get("NAS_TOKEN", "")
    if not token:
        raise ConfigurationError("no token: pass token, or set NAS_TOKEN")
    return token


def user_agent(product: str | None) -> str:
    """Our own user agent, as some firewalls refuse an HTTP library's; `product` goes after it."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ours = f"nas-sdk/{__version__} httpx/{httpx.__version__} python/{python}"
    if product is None:
        return ours
    if not (product.isascii() and product.isprintable()):
        raise ConfigurationError("user_agent: printable ASCII is needed")
    return f"{ours} {product}"


def limits(connections: int) -> httpx.Limits:
    """The limits of httpx's own pool, where that is used."""
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
