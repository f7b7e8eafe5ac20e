"""Every way to a server: directly, and through proxies."""

import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from select import select
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest

from nas_sdk import AsyncNasClient, CertificateError, NasClient, NasError
from nas_sdk._transport import proxies
from nas_sdk.testing import VirtualClock
from tests.support.both_clients import KINDS, Driver
from tests.support.loopback import Loopback, Seen, http_answer
from tests.support.tls import self_signed

TLS = "over TLS"
WAYS = ("direct", "forwarded", "tunnelled", "SOCKS", f"forwarded {TLS}", f"tunnelled {TLS}")
NOBODY = "127.0.0.1:1"
"""Where no server is: a proxy stands for it."""
BASIC = f"Basic {b64encode(b'user:p@ss').decode()}"
DENIED = http_answer(b"", "407 Proxy Authentication Required")


def answer(seen: Seen) -> bytes:
    is_direct = seen.line.startswith("POST /")
    admitted = is_direct or seen.headers.get("proxy-authorization") == BASIC
    return http_answer(b'{"ok": true}') if admitted else DENIED


class Tunnel(Loopback):
    """An HTTP proxy and what is behind it, for those that say who they are."""

    outer: ssl.SSLContext | None = None
    """What the proxy itself is reached with."""

    def _serve(self, connection: Any, number: int) -> None:
        with suppress(OSError), connection:
            if self.outer is None:
                if admits(connection):
                    super()._serve(connection, number)
                return
            with self.outer.wrap_socket(connection, server_side=True) as outer:
                if admits(outer):
                    near, far = socket.socketpair()  # as an SSLSocket wraps no other one
                    inner = threading.Thread(target=super()._serve, args=(far, number))
                    inner.start()
                    relay(outer, near)
                    inner.join()


def admits(connection: socket.socket) -> bool:
    """Whether who asks for a tunnel says who he is."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (piece := connection.recv(4_096)):
            return False
        head += piece
    admitted = f"Proxy-Authorization: {BASIC}\r\n" in head.decode()
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" if admitted else DENIED)
    return admitted


def relay(outer: ssl.SSLSocket, inner: socket.socket) -> None:
    """Pass on what comes, until one of them closes."""
    with suppress(OSError), inner:
        while True:
            ready = [outer] if outer.pending() else select([outer, inner], [], [])[0]
            for one in ready:
                if not (data := one.recv(65_536)):
                    return
                (inner if one is outer else outer).sendall(data)


def socks(connection: Callable[..., Any]) -> Any:
    """What stands for httpcore's class, whose package is not here; it connects directly."""

    class Socks:
        def __init__(self, url: httpcore.URL, auth: Any, **options: Any) -> None:
            if auth != (b"user", b"p@ss"):
                raise httpcore.ProxyError("denied")
            self._options = options

        def create_connection(self, origin: httpcore.Origin) -> Any:
            return connection(origin, **self._options)

    return Socks


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return NasClient if request.param == "sync" else AsyncNasClient


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Client = Callable[..., Driver]


@contextmanager
def serving(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Loopback, Client]]:
    """Run a server that is reached in that way; also what makes clients of it."""
    context, public = self_signed(tmp_path)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(public)
    monkeypatch.setattr(proxies, "find_spec", lambda _: True)
    monkeypatch.setattr(httpcore, "SOCKSProxy", socks(httpcore.HTTPConnection))
    monkeypatch.setattr(httpcore, "AsyncSOCKSProxy", socks(httpcore.AsyncHTTPConnection))
    kind = Tunnel if way.startswith("tunnelled") else Loopback
    with closing(kind(answer, None if way == "forwarded" else context)) as server:
        if isinstance(server, Tunnel) and way.endswith(TLS):
            server.outer = context
        at = server.url.partition("://")[2]

        def client(password: str = "p%40ss", **options: Any) -> Driver:
            behind = f"http{'' if way.startswith('forwarded') else 's'}://{NOBODY}"
            url = server.url if way in ("direct", "SOCKS") else behind
            scheme = "https" if way.endswith(TLS) else "socks5" if way == "SOCKS" else "http"
            proxy = f"{scheme}://user:{password}@{at}"
            options = {"verify": authority, "max_attempts": 1, "clock": VirtualClock()} | options
            proxied = {} if way == "direct" else {"proxy": proxy}
            return Driver(make(url, "agent-token", **(proxied | options)))

        yield server, client


@pytest.mark.off_contract("response")
async def test_a_proxy_is_told_who_asks(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(way, make, tmp_path, monkeypatch) as (_, client):
        call = client()
        await call("cancel", "job-1")
        await call.close()
        if way != "direct":
            call = client("wrong")
            with pytest.raises(NasError, match=r"407|[Dd]enied"):
                await call("cancel", "job-1")
            await call.close()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "forwarded"])
async def test_a_server_is_verified_whatever_is_between(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(way, make, tmp_path, monkeypatch) as (server, client):
        call = client(verify=None)
        with pytest.raises(CertificateError):
            await call("cancel", "job-1")
        await call.close()
        assert server.seen == []


@pytest.mark.parametrize("way", [way for way in WAYS if way.endswith(TLS)])
async def test_a_proxy_is_verified_with_what_the_environment_trusts(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(way, make, tmp_path, monkeypatch) as (server, client):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        call = client(verify=None)
        await call("cancel", "job-1")
        await call.close()
    assert len(server.seen) == 1


@pytest.mark.parametrize("way", [way for way in WAYS if way.endswith(TLS)])
async def test_a_proxy_may_have_a_context_of_its_own(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(way, make, tmp_path, monkeypatch) as (server, client):
        own = httpx.Proxy(
            server.url.replace("http:", "https:"),
            ssl_context=ssl.create_default_context(),
            auth=("user", "p@ss"),
        )
        call = client(proxy=own)
        with pytest.raises(CertificateError):
            await call("cancel", "job-1")
        await call.close()
    assert server.seen == []


async def test_a_connection_that_nobody_used_for_30_seconds_is_not_used_again(
    way: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed)
    for name in ("httpcore._sync.http11.time", "httpcore._async.http11.time"):
        monkeypatch.setattr(name, clock)
    with serving(way, make, tmp_path, monkeypatch) as (server, client):
        call = client()
        await call("cancel", "job-1")
        for idle_s, connections in ((25.0, 1), (25.0, 1), (30.0, 2)):
            passed += idle_s
            await call("cancel", "job-1")
            assert server.connections == connections
        await call.close()
