"""The verifier that hermes's webhook calls for every fire, on its event loop or in a thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .host import log
from .keeper import PROCESS

COLD_SECONDS = 3.0  # the longest wait for NAS's first keys; it may hold up an event loop


def get_fire_verifier() -> Callable[..., dict[str, Any] | None]:
    """What hermes asks for: a callable that returns a good token's claims, or None."""
    return verify


def verify(
    *, token: str, expected_audience: str, jwks_or_key: str | None, issuer: str | None = None
) -> dict[str, Any] | None:
    """The claims of a good fire token, which also asks for a converge; else None."""
    try:
        claims = dict(
            _verifier(jwks_or_key or "", expected_audience, issuer).verify_token(token).raw
        )
        PROCESS.heal()
    except Exception as error:
        log.warning("%s", error)
        return None
    return claims


@functools.cache
def _keys(url: str) -> Any:
    from nas_sdk.jwks import JwksCache

    allow_http = PROCESS.host.settings().allow_http
    return JwksCache(url, max_wait=COLD_SECONDS, allow_http=allow_http)


@functools.cache
def _verifier(source: str, audience: str, issuer: str | None) -> Any:
    from nas_sdk.webhooks import FireVerifier

    keys = _keys(source) if source.startswith("http") else source
    return FireVerifier(keys, audience=audience, issuer=issuer)


def prefetch() -> None:
    """Fetch NAS's keys before the first fire comes."""
    if url := PROCESS.host.settings().jwks_url:
        _keys(url).prefetch()
