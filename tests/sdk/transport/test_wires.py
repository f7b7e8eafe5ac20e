"""Requests and answers in pieces: of any size, at any byte."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import httpcore
import httpx
import pytest

from nas_sdk import AsyncNasClient, NasClient, NasConnectionError, NasTimeoutError
from nas_sdk._transport import async_wires, wires
from nas_sdk._transport.permits import Owner
from tests.support.both_clients import CALLBACK, FIRE_AT, KINDS, Driver
from tests.support.loopback import Answer, Loopback, http_answer, loopback
from tests.support.patience import PATIENCE_S

ANSWER = http_answer(b'{"schedule_id": "os_1"}')
PROVISION = ("job-1", FIRE_AT, CALLBACK)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(kind: str, server: Loopback, **options: Any) -> Driver:
    make: Any = NasClient if kind == "sync" else AsyncNasClient
    return Driver(make(server.url, "agent-token", **options))


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every write to a socket."""
    seen: list[bytes] = []

    def note(owner: Any, name: str) -> None:
        usual = getattr(owner, name)

        def write(self: Any, buffer: bytes, timeout: float | None = None) -> Any:
            seen.append(bytes(buffer))
            return usual(self, buffer, timeout)

        monkeypatch.setattr(owner, name, write)

    note(type(httpcore.SyncBackend()).connect_tcp.__globals__["SyncStream"], "write")
    note(async_wires._Protocol, "write")
    return seen


async def test_one_write_carries_a_request(kind: str, writes: list[bytes]) -> None:
    with loopback(lambda _: ANSWER) as server:
        call = client_of(kind, server)
        for _ in range(3):
            await call("provision", *PROVISION)
        await call.close()
    assert len(writes) == 3
    assert [json.loads(each.partition(b"\r\n\r\n")[2])["job_id"] for each in writes] == [
        "job-1"
    ] * 3


async def test_what_is_long_is_not_gathered(kind: str, writes: list[bytes]) -> None:
    with loopback(lambda _: ANSWER) as server:
        call = client_of(kind, server)
        await call("provision", *PROVISION, extra_headers={"X-Long": "x" * wires.Outbox.MOST})
        await call.close()
    assert len(writes) == 2
    assert json.loads(server.seen[0].body)["job_id"] == "job-1"


class _Narrow:
    """A socket that takes so many bytes a time."""

    def __init__(self, sock: Any, room: int) -> None:
        self._sock, self._room = sock, room

    def send(self, data: bytes) -> int:
        return int(self._sock.send(data[: self._room]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_a_socket_that_takes_a_few_bytes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = httpcore.SyncBackend.connect_tcp

    def through(room: int) -> Any:
        def connect(*args: Any, **options: Any) -> Any:
            stream: Any = usual(*args, **options)
            stream._sock = _Narrow(stream._sock, room)
            return stream

        return connect

    with loopback(lambda _: ANSWER) as server:
        for room in (*range(1, 40), 300, 10_000):
            monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", through(room))
            with NasClient(server.url, "agent-token") as nas:
                nas.provision(*PROVISION)
    assert len(server.seen) == 41
    assert {json.loads(each.body)["job_id"] for each in server.seen} == {"job-1"}


async def test_an_answer_cut_at_every_byte(kind: str) -> None:
    cuts = iter(range(1, len(ANSWER)))

    def pieces(_: Any) -> Iterator[bytes]:
        cut = next(cuts)
        yield ANSWER[:cut]
        yield ANSWER[cut:]

    with loopback(pieces) as server:
        call = client_of(kind, server)
        for _ in range(1, len(ANSWER)):
            assert (await call("provision", *PROVISION)).schedule_id == "os_1"
        await call.close()
    assert server.connections == 1


async def test_an_answer_byte_by_byte(kind: str) -> None:
    with loopback(lambda _: (ANSWER[at : at + 1] for at in range(len(ANSWER)))) as server:
        call = client_of(kind, server)
        for _ in range(5):
            assert (await call("provision", *PROVISION)).schedule_id == "os_1"
        await call.close()
    assert server.connections == 1


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the host nas.test."""
    addresses: list[str] = []
    usual = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **options: Any) -> Any:
        hosts = addresses if host == "nas.test" else [host]
        if not hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [each for at in hosts for each in usual(at, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return addresses


def test_all_addresses_of_a_host_share_one_limit(
    several: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, float]] = []

    def silent(_: Any, host: str, port: int, timeout: float, *rest: Any) -> Any:
        tried.append((host, timeout))
        raise httpcore.ConnectTimeout("timed out")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", silent)
    several += ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]
    with (
        NasClient("https://nas.test", "agent-token", max_attempts=1, timeout=8.0) as nas,
        pytest.raises(NasTimeoutError),
    ):
        nas.list_armed()
    assert [host for host, _ in tried] == several
    for (_, share), most in zip(tried, (8 / 4, 8 / 3, 8 / 2, 8), strict=True):
        assert 0 < share <= most


def test_the_next_address_of_a_host_is_tried_when_one_refuses(several: list[str]) -> None:
    with loopback(lambda _: ANSWER) as server:  # which listens at 127.0.0.1 alone
        several += ["127.0.0.2", "127.0.0.1"]
        url = server.url.replace("127.0.0.1", "nas.test")
        with NasClient(url, "agent-token", allow_http=True) as nas:
            assert nas.provision(*PROVISION).schedule_id == "os_1"


async def test_an_address_of_a_host_that_hangs_is_overtaken(
    several: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def hanging(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            await asyncio.Event().wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", hanging)
    with loopback(lambda _: ANSWER) as server:
        several += ["127.0.0.2", "127.0.0.1"]
        url = server.url.replace("127.0.0.1", "nas.test")
        async with AsyncNasClient(url, "agent-token", allow_http=True, max_attempts=1) as nas:
            assert (await nas.provision(*PROVISION)).schedule_id == "os_1"


def test_a_host_without_an_address_is_no_answer(several: list[str]) -> None:
    with (
        NasClient("https://nas.test", "agent-token", max_attempts=1) as nas,
        pytest.raises(NasConnectionError, match="Name or service not known"),
    ):
        nas.list_armed()


class _Deaf(httpcore.NetworkStream):
    """Takes nothing more, but has answered."""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise httpcore.WriteError("broken pipe")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"HTTP/1.1 413 "


class _AsyncDeaf(httpcore.AsyncNetworkStream):
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        raise httpcore.WriteError("broken pipe")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return b"HTTP/1.1 413 "


async def test_who_answers_before_he_has_heard_all_is_heard() -> None:
    stream = wires._Stream(wires.Wire(), _Deaf())
    stream.write(b"GET /", 1.0)
    assert stream.read(100, 1.0) == b"HTTP/1.1 413 "
    other = async_wires._AsyncStream(async_wires.AsyncWire(), _AsyncDeaf())
    await other.write(b"GET /", 1.0)
    assert await other.read(100, 1.0) == b"HTTP/1.1 413 "


def _head_that_never_ends() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"x-more: 1\r\n"


def _early_hints_for_ever() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


def _body_that_never_ends() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"
    while True:
        yield b" "


DRIPS = [_head_that_never_ends, _early_hints_for_ever, _body_that_never_ends]


def dripping(drip: Any, ended: threading.Event) -> Answer:
    """Sends 1000 pieces a twentieth of a second apart, until nobody listens or `ended`."""

    def answer(_: Any) -> Iterator[bytes]:
        for piece in islice(drip(), 1000):
            yield piece
            if ended.wait(0.05):
                return

    return answer


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("drip", DRIPS)
async def test_the_deadline_holds_while_an_answer_drips(kind: str, drip: Any) -> None:
    ended = threading.Event()
    before = threading.active_count()
    with loopback(dripping(drip, ended)) as server:
        call = client_of(kind, server, deadline=0.5, timeout=30)
        with pytest.raises(NasTimeoutError) as caught:
            await call("list_armed")
        await call.close()
        ended.set()
    assert caught.value.attempts == 1
    assert caught.value.elapsed < 40  # the drip lasts 50 s
    assert threading.active_count() <= before


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("drip", DRIPS)
@pytest.mark.parametrize("name", ["http_client", "transport"])
async def test_the_deadline_holds_with_an_asynchronous_client_of_the_callers(
    name: str, drip: Any
) -> None:
    ended = threading.Event()
    with loopback(dripping(drip, ended)) as server:
        passed: Any = httpx.AsyncClient() if name == "http_client" else httpx.AsyncHTTPTransport()
        async with passed:
            call = client_of("async", server, deadline=0.5, timeout=30, **{name: passed})
            with pytest.raises(NasTimeoutError) as caught:
                await call("list_armed")
        ended.set()
    assert caught.value.attempts == 1
    assert caught.value.elapsed < 40  # the drip lasts 50 s


def test_a_wait_ends_where_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a test of the caller's that stops time: the server is real, and says nothing."""
    asked = count(1)

    def stopped() -> float:
        assert next(asked) < 100, "it waits for the clock"
        return 1000.0

    go = threading.Event()

    def silent(_: Any) -> None:
        go.wait(PATIENCE_S)

    monkeypatch.setattr(time, "monotonic", stopped)
    with (
        loopback(silent) as server,
        NasClient(
            server.url, "agent-token", max_attempts=1, timeout=0.05, max_connections=1
        ) as nas,
    ):
        try:
            with pytest.raises(NasTimeoutError):
                nas.list_armed()
            nas._http._transport._turn.enter(holder := Owner(), None)  # type: ignore[union-attr]
            with pytest.raises(NasTimeoutError):
                nas.list_armed()
            assert holder is not None
        finally:
            go.set()
