"""Fetch a JWKS document over HTTP: one small GET, without redirects."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import httpx

from .._core.bodies import Body
from .._core.clock import Clock
from .._core.config import checked_switch, trust, user_agent
from .._core.deadlines import DEADLINE, Deadline
from .._core.loopback import is_loopback
from .._transport.proxies import proxy_for
from .._transport.senders import Direct, Passed
from ..errors import ConfigurationError

BODY_MAX = 256 * 1024
"""Longest key set that is read, in bytes."""


class JwksFetchError(Exception):
    """The key set could not be fetched; the text says why, and holds nothing of the answer."""


def fetch_over_http(
    url: str, *, timeout: float, allow_http: bool, http_client: httpx.Client | None
) -> Callable[[], bytes]:
    """A function that fetches the document at `url`, and raises JwksFetchError.

    Raises ConfigurationError at once unless the URL is https, or http on loopback or with
    `allow_http`, and for a proxy or certificates of the environment that cannot be used.
    Without a client of the caller's each fetch makes one connection: there is a fetch every
    few minutes, and so nothing is left open.
    """
    checked = _checked(url, allow_http=allow_http)
    passed = None if http_client is None else Passed(http_client)
    if passed is None:
        # Now, for a fork in the middle of an import leaves the child with half a module.
        import_module("nas_sdk._transport.dial")
        trust(checked, None, proxy_for(checked, None))

    def fetch() -> bytes:
        sender = passed or _own(checked)
        try:
            return _get(sender, checked, timeout)
        except sender.no_answer as error:
            raise JwksFetchError(f"{type(error).__name__}: no answer") from error
        finally:
            sender.close()

    return fetch


def _own(url: httpx.URL) -> Direct:
    from .._transport.dial import pool

    proxy = proxy_for(url, None)
    return Direct(pool(url, 1, trust(url, None, proxy), proxy))


def _get(sender: Direct | Passed, url: httpx.URL, timeout: float) -> bytes:
    deadline = Deadline(Clock(), timeout)
    # Not compressed, as it is small; but a server may do so all the same.
    headers = [
        (b"User-Agent", user_agent(None).encode()),
        (b"Accept", b"application/json"),
        (b"Accept-Encoding", b"identity"),
    ]
    limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
    extensions = {"timeout": limits, DEADLINE: deadline}
    response = sender.send(sender.request("GET", url, headers, None, extensions))
    try:
        if response.status_code != httpx.codes.OK:
            raise JwksFetchError(f"status {response.status_code}")
        body = Body(sender.encoding(response), BODY_MAX)
        for chunk in sender.chunks(response):
            if not body.feed(chunk):
                break
            if (deadline.left() or 0.0) <= 0:
                raise JwksFetchError(f"not all of it in {timeout:g} s")
    finally:
        response.close()
    content = body.content()
    if body.unreadable:
        raise JwksFetchError(body.unreadable)
    return content


def _checked(text: str, *, allow_http: bool) -> httpx.URL:
    checked_switch("allow_http", allow_http)
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError):
        raise ConfigurationError("JWKS URL: not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError("JWKS URL: an absolute https URL is needed, such as https://…")
    if url.userinfo:
        raise ConfigurationError("JWKS URL: user info has no place in it")
    if url.scheme == "http" and not allow_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"JWKS URL: over plain http everyone between here and {url.host} could put in keys "
            "of their own: use https, or pass allow_http=True if that network is yours"
        )
    return url
