"""Fetch a JWKS document over HTTP: one small GET, without redirects."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from .._core.config import trust, user_agent
from .._core.loopback import is_loopback
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
    `allow_http`. Without a client of the caller's each fetch makes one: there is a fetch
    every few minutes, and so nothing is left open.
    """
    checked = _checked(url, allow_http=allow_http)

    def fetch() -> bytes:
        try:
            if http_client is not None:
                return _get(http_client, checked, timeout)
            # No proxy for loopback, whatever the environment says, as in the client.
            trust_env = not is_loopback(checked.host)
            with httpx.Client(verify=trust(checked), trust_env=trust_env) as client:
                return _get(client, checked, timeout)
        except httpx.HTTPError as error:
            raise JwksFetchError(f"{type(error).__name__}: no answer") from error

    return fetch


def _get(client: httpx.Client, url: httpx.URL, timeout: float) -> bytes:
    give_up = time.monotonic() + timeout
    # Not compressed: it is small, and a few compressed bytes can become very many.
    headers = {
        "User-Agent": user_agent(None),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    body = bytearray()
    with client.stream(
        "GET", url, headers=headers, timeout=timeout, follow_redirects=False
    ) as response:
        if response.status_code != httpx.codes.OK:
            raise JwksFetchError(f"status {response.status_code}")
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > BODY_MAX:
                raise JwksFetchError(f"more than {BODY_MAX} bytes")
            if time.monotonic() > give_up:
                raise JwksFetchError(f"not all of it in {timeout:g} s")
    return bytes(body)


def _checked(text: str, *, allow_http: bool) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
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
