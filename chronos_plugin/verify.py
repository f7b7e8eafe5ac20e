"""The verifier that hermes's webhook calls for every fire, on its event loop or in a thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .host import log
from .plugin_runtime import PLUGIN

if TYPE_CHECKING:
    from nas_sdk.webhooks import FireVerifier, JwksCache

COLD_SECONDS = 10.0  # the longest wait for NAS's first keys; it may hold up an event loop
LEEWAY = 30.0  # seconds by which clocks may differ
_KEYS: dict[str, JwksCache] = {}


def get_fire_verifier(**options: object) -> Callable[..., dict[str, Any] | None]:
    """What hermes asks for: a callable that returns a good token's claims, or None."""
    return verify_nas_fire_token


def verify_nas_fire_token(
    *,
    token: str,
    expected_audience: str,
    jwks_or_key: str | None = None,
    issuer: str | None = None,
    leeway_seconds: float = LEEWAY,
    **options: object,
) -> dict[str, Any] | None:
    """The claims of a good fire token, which also asks for a reconcile; else None.

    Raises nothing: what could not be verified, whatever went wrong, runs nothing, and NAS sends
    it again. `options` are of a later hermes, and narrow nothing.
    """
    try:
        allow_http = PLUGIN.host.settings().allow_http
        source = jwks_or_key or ""
        verifier = _verifier(source, expected_audience, issuer, allow_http, leeway_seconds)
        claims = dict(verifier.verify_token(token).raw)
    except Exception as error:
        said = str(error) or type(error).__name__
        log.warning("fire refused: %s", said.removeprefix("fire refused: "))
        return None
    PLUGIN.request_reconcile()
    return claims


def keys(url: str, allow_http: bool) -> JwksCache:
    """NAS's keys on their way, one cache for the process, also when many threads ask for it."""
    from nas_sdk.webhooks import JwksCache

    made = JwksCache(url, max_wait=COLD_SECONDS, allow_http=allow_http)
    (kept := _KEYS.setdefault(url, made)).prefetch()
    return kept


@functools.cache
def _verifier(
    source: str, audience: str, issuer: str | None, allow_http: bool, leeway: float
) -> FireVerifier:
    from nas_sdk.webhooks import FireVerifier

    trusted = keys(source, allow_http) if source.startswith("http") else source
    return FireVerifier(trusted, audience=audience, issuer=issuer or None, leeway=leeway)
