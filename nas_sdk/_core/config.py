"""How a client is set up: where NAS is, how patient the client is, who watches it."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeGuard

import httpx

from .._typing import override
from .._version import __version__
from ..errors import ConfigurationError
from .clock import Clock
from .events import Hooks
from .loopback import is_loopback
from .policy import DEFAULT, ClientPolicy


class NotGiven:
    """The type of `NOT_GIVEN`, for options whose None has a meaning."""

    @override
    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()
DEFAULT_TIMEOUT: Final = httpx.Timeout(connect=5.0, read=15.0, write=15.0, pool=None)
"""Seconds; a free connection of the pool is waited for until the deadline."""
DEFAULT_ATTEMPTS: Final = 4
DEFAULT_DEADLINE: Final = 60.0

Timeout = float | httpx.Timeout | None
LIMIT_MAX: Final = 366 * 86400.0
"""The longest limit of time that is accepted, in seconds; None is none."""


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
        return Options(
            self.timeout if isinstance(timeout, NotGiven) else _checked_timeout(timeout),
            self.max_attempts
            if isinstance(max_attempts, NotGiven)
            else checked_count("max_attempts", max_attempts),
            self.deadline
            if isinstance(deadline, NotGiven)
            else checked_seconds("deadline", deadline),
        )

    def timeouts(self, left: float | None) -> dict[str, float | None]:
        """The time limits of one attempt when `left` seconds remain of the deadline."""
        limits = self.timeout.as_dict()
        if left is None:
            return limits
        return {name: left if limit is None else min(limit, left) for name, limit in limits.items()}


def checked_seconds(name: str, value: object) -> float | None:
    """A limit of time: seconds above 0, or None; ConfigurationError for anything else."""
    if value is None:
        return None
    if _is_number(value) and 0 < value <= LIMIT_MAX:
        return value
    raise ConfigurationError(
        f"{name}: seconds above 0 are needed, up to {LIMIT_MAX:.0f}, or None for no limit"
    )


def checked_span(name: str, value: object) -> float:
    """Seconds from 0 on; ConfigurationError for anything else."""
    if _is_number(value) and 0 <= value <= LIMIT_MAX:
        return value
    raise ConfigurationError(f"{name}: seconds from 0 to {LIMIT_MAX:.0f} are needed")


def checked_count(name: str, value: object, most: int = 1_000_000_000) -> int:
    """A whole number from 1 on; ConfigurationError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise ConfigurationError(f"{name}: a whole number from 1 to {most} is needed")


def checked_text(name: str, value: object, why: str) -> None:
    """ConfigurationError for anything but a text that says something."""
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name}: a text is needed, {why}")


def checked_switch(name: str, value: object) -> None:
    """ConfigurationError for anything but True and False: a text, such as "false", is true."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: True or False is needed")


def checked_callable(name: str, value: object) -> None:
    """ConfigurationError for what cannot be called; None is not used, and so will do."""
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name}: a callable is needed, not {type(value).__name__}")


def refuse_beside_client(**settings: object) -> None:
    """ConfigurationError for a setting that nobody would heed, as a client was passed in."""
    for name, value in settings.items():
        if value is not None:
            raise ConfigurationError(f"{name}: it is for the http_client that is passed in to have")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked_timeout(value: object) -> httpx.Timeout:
    limits = getattr(value, "as_dict", None)
    if limits is not None:
        return httpx.Timeout(**{n: checked_seconds(f"timeout.{n}", s) for n, s in limits().items()})
    return httpx.Timeout(checked_seconds("timeout", value))


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


Verify = ssl.SSLContext | str | os.PathLike[str]
"""Whom to trust: a context, or a file of certificates."""


def trust(
    url: httpx.URL, verify: object = None, proxy: httpx.Proxy | None = None
) -> ssl.SSLContext:
    """What to verify the server of a URL and its proxy with: `verify`, or the environment's.

    To read the usual certificates takes longer than a request, so they are read once. Plain
    http does without, and gets a context that trusts nobody. ConfigurationError for
    certificates that cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if not isinstance(verify, str | os.PathLike | None):  # True and False are no such thing
        raise ConfigurationError("verify: an ssl.SSLContext or a file of certificates is needed")
    if verify == "":  # to ssl that is none, and so the usual ones
        raise ConfigurationError("verify: the name of the file of certificates is empty")
    if verify is not None:
        return _reading("verify", os.fspath(verify), lambda: _context_of(os.fspath(verify)))
    if "https" not in (url.scheme, proxy and proxy.url.scheme):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        return _reading("SSL_CERT_FILE", file, lambda: _default_context(file, _mtime(file)))
    if folder:
        return _reading("SSL_CERT_DIR", folder, lambda: _default_context(folder, _mtime(folder)))
    return _default_context(None, None)


def _reading(name: str, path: str, read: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    try:
        return read()
    except (OSError, ValueError) as error:  # those of ssl are OSErrors
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{name}: no certificates can be read from {path}: {reason}"
        ) from None


def _context_of(file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file)


def _mtime(path: str) -> int:
    return os.stat(path).st_mtime_ns  # noqa: PTH116 - a text is all there is


@lru_cache(maxsize=4)
def _default_context(path: str | None, changed: int | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()


class ClientSettings(NamedTuple):
    """All of it; immutable, shared between a client and its views."""

    endpoint: Endpoint
    options: Options
    hooks: Hooks
    clock: Clock
    policy: ClientPolicy = DEFAULT


def base_url(given: str | None, *, allow_http: bool) -> httpx.URL:
    """The base URL, checked and without a slash at its end; `NAS_BASE_URL` if none is given."""
    checked_switch("allow_http", allow_http)
    text = given or os.environ.get("NAS_BASE_URL", "")
    if not text:
        raise ConfigurationError("no base URL: pass base_url, or set NAS_BASE_URL")
    if not isinstance(text, str):
        raise ConfigurationError(f"base_url: a text is needed, not {type(text).__name__}")
    try:
        url = httpx.URL(text.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"base_url: not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("base_url: an absolute https URL is needed, such as https://…")
    if not _can_be_dialled(url):
        raise ConfigurationError("base_url: no host can have that name or port")
    if url.userinfo or "?" in text or "#" in text:
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
    if "%" in url.host and ":" not in url.host:  # what no name has, escaped; not a zone of IPv6
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
    if product in (None, ""):
        return ours
    checked_text("user_agent", product, "such as my-service/1.0")
    if not (product.isascii() and product.isprintable()):
        raise ConfigurationError("user_agent: printable ASCII is needed")
    return f"{ours} {product}"
