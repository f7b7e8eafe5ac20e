"""How a connection is made: directly or through a proxy, with or without TLS."""

from __future__ import annotations

import ssl

import httpcore
import httpx

from .async_pool import AsyncConnectionPool
from .async_wires import AsyncWire
from .pool import IDLE_SECONDS, SWEEP_SECONDS, ConnectionPool
from .wires import Wire


def pool(
    url: httpx.URL,
    width: int,
    context: ssl.SSLContext,
    proxy: httpx.Proxy | None,
    sweep: float = SWEEP_SECONDS,
) -> ConnectionPool:
    """A pool of up to `width` connections to the server of that URL.

    Its certificate is verified with `context`, and a proxy's unless that has one of its own.
    """
    origin = _origin(url)

    def connect(wire: Wire) -> httpcore.ConnectionInterface:
        if proxy is None:
            return httpcore.HTTPConnection(
                origin, context, keepalive_expiry=IDLE_SECONDS, network_backend=wire
            )
        if _is_socks(proxy):
            return httpcore.SOCKSProxy(
                _url(proxy),
                proxy.raw_auth,
                ssl_context=context,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=wire,
            ).create_connection(origin)
        return httpcore.HTTPProxy(
            _url(proxy),
            proxy.raw_auth,
            proxy.headers.raw,
            ssl_context=context,
            proxy_ssl_context=_proxy_context(proxy, context),
            keepalive_expiry=IDLE_SECONDS,
            network_backend=wire,
        ).create_connection(origin)

    return ConnectionPool(width, connect, sweep)


def async_pool(
    url: httpx.URL,
    width: int,
    context: ssl.SSLContext,
    proxy: httpx.Proxy | None,
    sweep: float = SWEEP_SECONDS,
) -> AsyncConnectionPool:
    """The same for an asynchronous client."""
    origin = _origin(url)

    def connect(wire: AsyncWire) -> httpcore.AsyncConnectionInterface:
        if proxy is None:
            return httpcore.AsyncHTTPConnection(
                origin, context, keepalive_expiry=IDLE_SECONDS, network_backend=wire
            )
        if _is_socks(proxy):
            return httpcore.AsyncSOCKSProxy(
                _url(proxy),
                proxy.raw_auth,
                ssl_context=context,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=wire,
            ).create_connection(origin)
        return httpcore.AsyncHTTPProxy(
            _url(proxy),
            proxy.raw_auth,
            proxy.headers.raw,
            ssl_context=context,
            proxy_ssl_context=_proxy_context(proxy, context),
            keepalive_expiry=IDLE_SECONDS,
            network_backend=wire,
        ).create_connection(origin)

    return AsyncConnectionPool(width, connect, sweep)


def _origin(url: httpx.URL) -> httpcore.Origin:
    port = url.port or (443 if url.scheme == "https" else 80)
    return httpcore.Origin(url.raw_scheme, url.raw_host, port)


def _url(proxy: httpx.Proxy) -> httpcore.URL:
    url = proxy.url
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _is_socks(proxy: httpx.Proxy) -> bool:
    return proxy.url.scheme.startswith("socks")


def _proxy_context(proxy: httpx.Proxy, context: ssl.SSLContext) -> ssl.SSLContext | None:
    if proxy.url.scheme != "https":
        return None
    return getattr(proxy, "ssl_context", None) or context
