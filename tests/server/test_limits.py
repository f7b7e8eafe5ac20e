"""At the limit of descriptors: callers are told, fires wait their turn, the log stays short."""

import asyncio
import errno
import json
import math
import os
import re
import resource
import selectors
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nas_sdk import Arm, AsyncNasClient
from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_server import budget
from nas_server.accounts import Accounts
from nas_server.clock import system_clock
from nas_server.delivery.agent_client import AgentClient, Answer
from nas_server.delivery.caller import Caller
from nas_server.http.gate import Gate, _Connection
from nas_server.keys import KeyRing
from nas_server.log_lines import LineHandler, Repeats
from nas_server.logs import JsonLines
from nas_server.policy import BudgetPolicy, DeliveryPolicy, HttpPolicy, LogPolicy
from nas_server.store import MemoryStore
from tests.support.agent_stub import agent_stub, held
from tests.support.nas_in_process import HandClock, eventually, hosted
from tests.support.nas_server import nas_server
from tests.support.patience import PATIENCE_S
from tools.demo.process import tied


@pytest.mark.parametrize(
    ("limit", "share"), [(200, 68), (10, 4), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000)]
)
def test_the_share_follows_the_limit(
    limit: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert budget.share() == share


async def test_deliveries_beyond_the_room_wait_their_turn() -> None:
    go_on, few = asyncio.Event(), BudgetPolicy(least=3, most=3, agents=1)
    async with hosted(MemoryStore(), budget=few) as nas, agent_stub(nas.clock) as agent:
        agent.usual = held(go_on)
        for n in range(8):
            await nas.provision(f"job{n}", 0, agent.url)
        await agent.until(3)
        assert nas.nas.relay.under_way == 3
        go_on.set()
        await agent.until(8)

        async def over() -> bool:
            return not await nas.armed()

        await eventually(over)
        assert len(agent.fires) == 8


@pytest.mark.parametrize("jobs", [3, 9])
async def test_a_limit_that_is_raised_is_seen_by_a_relay_that_waits(
    jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3 jobs one waits for its agent's other, of 9 most wait for room."""
    limit, go_on, soon = 72, asyncio.Event(), DeliveryPolicy(look_s=0.01)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    async with hosted(MemoryStore(), delivery=soon) as nas, agent_stub(nas.clock) as agent:
        agent.usual = held(go_on)
        for n in range(jobs):
            if n % 2:
                _, nas.token = await nas.nas.accounts.add(f"more{n}", None, nas.clock())
            await nas.provision(f"job{n}", 0, agent.url)
        first = min(4, 1 + jobs // 2)
        await agent.until(first)

        relay = nas.nas.relay

        async def asleep() -> bool:
            waits = relay._asleep_until == math.inf and not relay._wake.is_set()
            return waits and relay.under_way == first

        await eventually(asleep)
        limit = 10_000
        await agent.until(jobs)
        go_on.set()


@pytest.mark.parametrize("share", [4, 12, 68])
async def test_a_few_agents_that_hang_leave_room_for_others(share: int) -> None:
    hang, few = asyncio.Event(), BudgetPolicy(least=share, most=share)
    async with (
        hosted(MemoryStore(), budget=few) as nas,
        agent_stub(nas.clock) as hanging,
        agent_stub(nas.clock) as agent,
    ):
        healthy, hanging.usual = nas.token, held(hang)
        hung = min(9, share - 1)
        for n in range(hung):
            _, nas.token = await nas.nas.accounts.add(f"hung{n}", None, nas.clock())
            for job in range(8):
                await nas.provision(f"job{job}", 0, hanging.url)
        await hanging.until(hung)
        nas.token = healthy
        for n in range(20):
            await nas.provision(f"job{n}", 0, agent.url)
        await agent.until(20)
        assert len(hanging.fires) == hung * budget.of_one(8, few)
        hang.set()
        await hanging.until(8 * hung)


@pytest.mark.parametrize(("share", "most"), [(4, 1), (68, 1), (480, 7), (10_000, 8)])
def test_what_one_agent_may_have_follows_from_the_room(share: int, most: int) -> None:
    assert budget.of_one(8, BudgetPolicy(least=share, most=share)) == most


async def test_a_delivery_that_never_began_has_its_turn_again_and_not_a_lease_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = Caller.call
    failed: list[Any] = []

    async def failing_once(caller: Caller, one: Any) -> Any:
        if not failed:
            failed.append(one)
            raise OSError(24, "Too many open files")
        return await call(caller, one)

    monkeypatch.setattr(Caller, "call", failing_once)
    soon = DeliveryPolicy(look_s=0.01)
    async with hosted(MemoryStore(), delivery=soon) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url)
        await agent.until(1)  # though the clock stands still


async def test_what_this_process_lacks_is_said_of_no_agent() -> None:
    lacking = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

    class Failing(AgentClient):
        number = 0

        async def post(self, url: str, headers: str, body: bytes) -> Answer:
            raise OSError(self.number, os.strerror(self.number))

    store, clock = MemoryStore(), HandClock()
    accounts = Accounts(store)
    await accounts.add("agent", None, clock())
    url, at = "http://agent.example", format_instant(clock())
    one = one_shot.fresh("agent", "job", at, url, "key", "os_1", clock())
    async with Failing(timeout_s=30) as client:
        caller = Caller(client, accounts, KeyRing(store), issuer="http://nas.test", clock=clock)
        for client.number in errno.errorcode:
            if client.number in lacking:
                with pytest.raises(OSError, match=re.escape(os.strerror(client.number))):
                    await caller.call(one)
            else:
                told = await caller.call(one)
                assert told is not None
                assert (told.ended, told.note.partition(":")[0]) in (
                    (False, "unreachable"),
                    (False, "timeout"),
                )


async def test_half_a_request_ends() -> None:
    ended: list[object] = []

    class Silent(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            ended.append(self)

    class Runner:
        server = Silent

    gates = Gate(lambda: 10, HttpPolicy(request_s=0.05))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # all it asks for
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"POST /api/agent-cron/provision HTTP/1.1\r\nHost: x\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()
        server.close()
    assert len(ended) == 1
    assert not gates.open


async def test_of_a_burst_no_more_are_let_in_than_there_is_room_for() -> None:
    class Runner:
        server = asyncio.Protocol

    gates = Gate(lambda: 3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # as above
        burst = [
            socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) for _ in range(10)
        ]
        told = [await asyncio.to_thread(sock.recv, 12) for sock in burst[3:]]
        assert set(told) == {b"HTTP/1.1 503"}
        assert len(gates.open) == 3
        for sock in burst:
            sock.close()

        async def all_gone() -> bool:
            return not gates.open

        await eventually(all_gone)
        server.close()


class Answering(asyncio.Protocol):
    """Answers whatever comes with more than the system keeps for a socket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(bytes(32_000_000))


async def test_who_asks_and_takes_no_answer_is_hung_up_on() -> None:
    class Runner:
        server = Answering

    gates = Gate(lambda: 10, HttpPolicy(body_s=0.05, request_s=3_600))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as caller:
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # as above
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(caller, listener.getsockname())
        await loop.sock_sendall(caller, b"GET ")

        async def hung_up() -> bool:
            return not gates.open

        await eventually(hung_up)
        server.close()


@pytest.mark.parametrize(("taken", "goes_on"), [(65_536, True), (65_535, False)])
async def test_who_takes_an_answer_slowly_is_heard_out(taken: int, goes_on: bool) -> None:
    class Slow(asyncio.Transport):
        left, aborted, looks = 1_000_000, False, 0

        def get_write_buffer_size(self) -> int:
            return self.left

        def abort(self) -> None:
            self.aborted = True

    transport = Slow()
    connection = _Connection(asyncio.Protocol(), Gate(lambda: 10, HttpPolicy(body_s=0)))
    connection.connection_made(transport)
    connection.pause_writing()
    transport.left -= taken
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert transport.aborted is not goes_on
    await asyncio.sleep(0)
    assert transport.aborted  # it takes no more


@pytest.mark.parametrize("end", ["resume_writing", "connection_lost"])
async def test_who_has_taken_an_answer_or_is_gone_is_not_looked_at(end: str) -> None:
    connection = _Connection(asyncio.Protocol(), Gate(lambda: 10))
    connection.connection_made(asyncio.Transport())
    connection._transport = cast("Any", SimpleNamespace(get_write_buffer_size=lambda: 1))
    connection.pause_writing()
    assert connection._look is not None
    assert not connection._look.cancelled()
    getattr(connection, end)(*([None] if end == "connection_lost" else []))
    assert connection._look.cancelled()


async def test_who_is_told_to_come_again_and_stays_is_hung_up_on() -> None:
    class Runner:
        server = asyncio.Protocol

    gates = Gate(lambda: 0, HttpPolicy(refusal_s=0.05))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # as above
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as staying:
            assert await asyncio.to_thread(staying.recv, 12) == b"HTTP/1.1 503"
            assert len(gates._refused) == 1

            async def hung_up() -> bool:
                return not gates._refused

            await eventually(hung_up)
        server.close()


async def test_who_has_gone_before_being_served_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Runner:
        server = asyncio.Protocol

    loop, failed = asyncio.get_running_loop(), asyncio.Event()
    connect = loop.connect_accepted_socket

    async def failing_once(protocol: Any, sock: socket.socket) -> Any:
        if failed.is_set():
            return await connect(protocol, sock)
        protocol()
        failed.set()
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(loop, "connect_accepted_socket", failing_once)
    gates = Gate(lambda: 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # as above
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S) as gone:
            assert await asyncio.to_thread(gone.recv, 1) == b""
        assert not gates.open
        with socket.create_connection(listener.getsockname(), timeout=PATIENCE_S):

            async def let_in() -> bool:
                return len(gates.open) == 1

            await eventually(let_in)

        async def all_gone() -> bool:
            return not gates.open

        await eventually(all_gone)
        server.close()


def few_descriptors(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (200, 200))


def first_words(connections: list[socket.socket]) -> bytes:
    """What the server says first on any of them."""
    with selectors.DefaultSelector() as heard:
        for sock in connections:
            heard.register(sock, selectors.EVENT_READ)
        while ready := heard.select(PATIENCE_S):
            for key, _ in ready:
                with suppress(OSError):
                    if said := cast("socket.socket", key.fileobj).recv(12):
                        return said
                heard.unregister(key.fileobj)
    return b""


async def test_a_server_at_the_limit_fires_all_and_tells_callers_to_come_again(
    tmp_path: Path,
) -> None:
    async with agent_stub(system_clock) as agent:
        with nas_server(tmp_path) as server:
            few_descriptors(server.pid)
            logins = [server.add_agent(f"a{n}") for n in range(3)]
            at = format_instant(system_clock() + 2_000)
            for login in logins:
                async with AsyncNasClient(server.url, login.token) as client:
                    arms = [Arm(f"{login.name}-{n}", at, agent.url) for n in range(100)]
                    assert all(one.ok for one in await client.provision_many(arms))
            host, port = server.url.removeprefix("http://").split(":")
            half = [
                socket.create_connection((host, int(port)), timeout=PATIENCE_S) for _ in range(100)
            ]
            for sock in half:
                with suppress(OSError):  # those beyond even being told are hung up on
                    sock.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert await asyncio.to_thread(first_words, half) == b"HTTP/1.1 503"
            await agent.until(300)
            for sock in half:
                sock.close()
            assert set(Counter(agent.jobs()).values()) == {1}
            lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["event"] for line in lines} <= {"ready", "fire"}


def test_a_line_that_comes_again_is_counted() -> None:
    repeats = Repeats()
    assert [repeats.admit("a", now) for now in (0.0, 1.0, 9.9, 10.0, 11.0, 20.0)] == [
        0,
        None,
        None,
        2,
        None,
        1,
    ]
    assert repeats.admit("b", 1.0) == 0


async def test_a_log_that_nobody_reads_stops_no_fire(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    command = [sys.executable, "-m", "nas_server", "serve", "--port", "0", "--store", store]
    process = subprocess.Popen(  # noqa: ASYNC220 - a pipe of asyncio's would be read
        tied([*command, "--allow-private-callbacks"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # and nobody reads
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with closing(process.stdout), closing(process.stderr):
        try:
            line = await asyncio.to_thread(process.stdout.readline)
            url = line.strip().rpartition("url=")[2]
            add = [sys.executable, "-m", "nas_server", "agent", "add", "a", "--store", store]
            added = await asyncio.to_thread(subprocess.check_output, [*add, "--json"], text=True)
            async with (
                agent_stub(system_clock) as agent,
                AsyncNasClient(url, json.loads(added)["token"]) as client,
            ):
                at = format_instant(system_clock())
                arms = [Arm(f"job{n}", at, agent.url) for n in range(600)]
                assert all(one.ok for one in await client.provision_many(arms))
                await agent.until(600)
        finally:
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0


def test_lines_are_lost_and_counted_when_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import logging

    reading, writing = os.pipe()
    go_on, write = threading.Event(), os.write

    def slow(handle: int, data: bytes) -> int:
        go_on.wait(PATIENCE_S)
        return write(handle, data)

    monkeypatch.setattr(os, "write", slow)
    handler = LineHandler(writing, LogPolicy(room=2))
    handler.setFormatter(JsonLines())
    for n in range(10):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, f"line {n}", None, None))
    go_on.set()
    handler.close()
    os.close(writing)
    with os.fdopen(reading) as lines:
        *told, lost = [json.loads(line) for line in lines]
    assert told[0]["event"] == "line 0"
    assert len(told) <= 3
    assert (lost["event"], lost["count"]) == ("lines_lost", 10 - len(told))


async def test_where_there_was_no_descriptor_for_a_caller_the_next_is_heard() -> None:
    made: list[asyncio.Protocol] = []

    class Runner:
        def server(self) -> asyncio.Protocol:
            made.append(asyncio.Protocol())
            return made[-1]

    class Listener(socket.socket):
        failures = 3

        def accept(self) -> tuple[socket.socket, Any]:
            if self.failures:
                self.failures -= 1
                raise OSError(24, "Too many open files")
            return super().accept()

    with Listener() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        gates = Gate(lambda: 10, HttpPolicy(again_s=0.01))
        server = gates.listen(Runner(), listener)  # type: ignore[arg-type]  # as above
        _, writer = await asyncio.open_connection(*listener.getsockname())

        async def heard() -> bool:
            return bool(made)

        await eventually(heard)
        writer.close()
        server.close()
