"""The client of fires: connections that are used again, given up, tried beside each other."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nas_server.delivery.agent_client import AgentClient, target
from nas_server.delivery.agent_connection import AgentConnection
from nas_server.delivery.caller import agent_client
from nas_server.delivery.connecting import Address, connect
from nas_server.delivery.http_answer import BadAnswerError
from nas_server.policy import DeliveryPolicy
from tests.support.hostile_agents import Wire, hostile_agent, hostile_tls_agent
from tests.support.nas_in_process import eventually
from tests.support.tls import self_signed

OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
async def client() -> AsyncIterator[AgentClient]:
    async with AgentClient(timeout_s=30) as made:
        yield made


async def every_request(wire: Wire) -> None:
    """Answer the request that came, and all that follow."""
    await wire.send(OK)
    while await wire.read():
        await wire.send(OK)


async def one_request(wire: Wire) -> None:
    """Answer a request, and end the connection when the next has come."""
    await wire.send(OK)
    await wire.read()


async def test_a_burst_uses_its_connections_again(client: AgentClient) -> None:
    async with hostile_agent(every_request) as agent:
        for _ in range(5):
            assert (await client.post(agent.url, "", b"{}")).status == 202
        assert agent.connections == 1


async def test_a_connection_that_ends_when_it_is_used_again_costs_no_fire(
    client: AgentClient,
) -> None:
    async with hostile_agent(one_request) as agent:
        for _ in range(3):
            assert (await client.post(agent.url, "", b"{}")).status == 202
        assert agent.connections == 3


async def test_a_fresh_connection_that_ends_is_not_tried_again(client: AgentClient) -> None:
    async def end(wire: Wire) -> None:
        pass

    async with hostile_agent(end) as agent:
        with pytest.raises(BadAnswerError, match="without an answer"):
            await client.post(agent.url, "", b"{}")
        assert agent.connections == 1


async def test_an_idle_connection_is_closed() -> None:
    async with (
        AgentClient(timeout_s=30, policy=DeliveryPolicy(idle_s=0.01)) as client,
        hostile_agent(every_request) as agent,
    ):
        await client.post(agent.url, "", b"{}")

        async def closed() -> bool:
            return agent.open == 0 and not client._open and not client._idle

        await eventually(closed)


async def test_more_connections_than_there_may_be_replace_idle_ones() -> None:
    async with (
        AgentClient(timeout_s=30, most=lambda: 2) as client,
        hostile_agent(every_request) as one,
        hostile_agent(every_request) as two,
        hostile_agent(every_request) as three,
    ):
        for agent in (one, two, three):
            await client.post(agent.url, "", b"{}")

        async def two_left() -> bool:
            return one.open + two.open + three.open == 2

        await eventually(two_left)
        assert three.open == 1


async def test_a_status_that_came_counts_though_nobody_waits_any_longer(
    client: AgentClient,
) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(OK[:-1])
        await wire.hold()

    async with hostile_agent(half) as agent:
        posting = asyncio.create_task(client.post(agent.url, "", b"{}"))

        async def answered() -> bool:
            return any(each._reader and each._reader.status for each in client._open)

        await eventually(answered)
        posting.cancel()
        assert (await posting).status == 202


async def test_who_is_cancelled_before_leaves_no_connection(client: AgentClient) -> None:
    async with hostile_agent(Wire.hold) as agent:
        posting = asyncio.create_task(client.post(agent.url, "", b"{}"))
        await agent.held.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting

        async def closed() -> bool:
            return agent.open == 0 and not client._open

        await eventually(closed)


async def test_what_nobody_asked_for_ends_the_connection(client: AgentClient) -> None:
    async def twice(wire: Wire) -> None:
        await wire.send(OK)
        await wire.send(OK)
        await wire.hold()

    async with hostile_agent(twice) as agent:
        await client.post(agent.url, "", b"{}")

        async def closed() -> bool:
            return agent.open == 0

        await eventually(closed)
        assert not [each for each in client._open if each.is_open]


async def test_one_read_takes_little(client: AgentClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    updated = AgentConnection.buffer_updated

    def noted(connection: AgentConnection, nbytes: int) -> None:
        sizes.append(nbytes)
        updated(connection, nbytes)

    monkeypatch.setattr(AgentConnection, "buffer_updated", noted)

    async def much(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.flood(bytes(65_536))

    async with hostile_agent(much) as agent:
        await client.post(agent.url, "", b"{}")
    assert max(sizes) <= 16_384
    assert sum(sizes) <= 4 * 16_384


async def test_tls_is_read_as_little(tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    async with AgentClient(timeout_s=30) as client, hostile_tls_agent(context) as agent:
        client._tls().load_verify_locations(cadata=certificate.decode())
        with pytest.raises(BadAnswerError, match="informational"):
            await client.post(agent.url, "", b"{}")
        assert agent.taken <= 8 * 2**20

        async def closed() -> bool:
            return agent.open == 0

        await eventually(closed)


async def test_tls_is_verified_and_never_renegotiated(client: AgentClient) -> None:
    context = client._tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert ssl.OP_NO_RENEGOTIATION in context.options  # an agent could ask for one without end


@pytest.mark.parametrize("coding", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_a_long_page_over_tls_is_an_answer(tmp_path: Path, coding: bytes) -> None:
    """Such as that of a proxy before an agent that is down; it is not read to its end."""
    context, certificate = self_signed(tmp_path)

    async def page(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 502 Bad Gateway\r\n" + coding + b"\r\n")
        await wire.send((b"400\r\n" + b"x" * 1_024 + b"\r\n") * 100)

    async with AgentClient(timeout_s=30) as client, hostile_tls_agent(context, page) as agent:
        client._tls().load_verify_locations(cadata=certificate.decode())
        assert (await client.post(agent.url, "", b"{}")).status == 502

        async def closed() -> bool:
            return agent.open == 0 and not client._open

        await eventually(closed)


def addresses(*ports: int) -> list[Address]:
    return [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
        for port in ports
    ]


async def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    async with hostile_agent(every_request) as agent:
        port = int(agent.url.rpartition(":")[2])
        (await connect(addresses(1, 1, port), 0.25)).close()
    with pytest.raises(ConnectionRefusedError):
        await connect(addresses(1, 1), 0.25)


async def test_an_address_that_hangs_is_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, made = asyncio.get_running_loop(), []
    connect_to = loop.sock_connect

    async def hanging(sock: socket.socket, address: Any) -> None:
        made.append(sock)
        if address[1] == 1:
            await asyncio.Event().wait()
        await connect_to(sock, address)

    monkeypatch.setattr(loop, "sock_connect", hanging)
    async with hostile_agent(every_request) as agent:
        port = int(agent.url.rpartition(":")[2])
        (await connect(addresses(1, port), 0.01)).close()
    assert [sock.fileno() for sock in made] == [-1, -1]


class Names:
    """A name server that an agent has set up."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = hosts

    async def resolve(self, host: str, port: int, family: int) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        known = [{"family": families[":" in each], "host": each} for each in self.hosts]
        return [each for each in known if family in (socket.AF_UNSPEC, each["family"])]

    async def close(self) -> None:
        pass


async def tried(
    hosts: Sequence[str], allow_private: bool, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return which addresses are tried of a name that has these, none of which answers."""
    asked: list[str] = []

    async def refusing(sock: socket.socket, address: Any) -> None:
        asked.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refusing)
    async with agent_client(allow_private=allow_private, timeout_s=30) as client:
        client._resolver = Names(hosts)  # type: ignore[assignment]  # as much as is asked of it
        with pytest.raises(OSError, match=r"refused|private"):
            await client.post("http://agent.example", "", b"{}")
    return asked


@pytest.mark.parametrize("hosts", [["::1"], ["127.0.0.1"], ["::1", "127.0.0.1"]])
async def test_an_agent_is_called_whichever_family_its_addresses_are_of(
    hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await tried(hosts, True, monkeypatch) == hosts


async def test_of_a_name_with_many_addresses_a_few_are_tried_of_each_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each takes a descriptor, and whoever has a name may give it thousands."""
    many = ["::1"] * 1_000 + ["127.0.0.1"] * 1_000
    assert await tried(many, True, monkeypatch) == ["::1", "127.0.0.1"] * 2


async def test_of_a_name_with_thousands_of_addresses_a_few_are_looked_at() -> None:
    """Whether one is public takes time, and each try looks again."""
    looked_at: list[str] = []

    def none(found: Sequence[Address]) -> Sequence[Address]:
        looked_at.extend(each[4][0] for each in found)
        raise ConnectionRefusedError

    hosts = [f"fd00::{n:x}" for n in range(3_000)] + ["10.0.0.1"] * 3_000
    async with AgentClient(timeout_s=30, sift=none) as client:
        client._resolver = Names(hosts)  # type: ignore[assignment]  # as above
        with pytest.raises(ConnectionRefusedError):
            await client.post("http://agent.example", "", b"{}")
    assert looked_at == hosts[:32] + ["10.0.0.1"] * 32


async def test_a_public_address_is_tried_however_many_private_ones_a_name_has_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private = ["fd00::1", "10.0.0.1", "127.0.0.1", "::1"] * 3
    assert await tried([*private, "1.1.1.1"], False, monkeypatch) == ["1.1.1.1"]
    assert await tried(private, False, monkeypatch) == []


@pytest.mark.parametrize(
    ("url", "line", "host", "where"),
    [
        ("http://a.example/api", "POST /api HTTP/1.1", "a.example", ("a.example", 80)),
        ("https://A.example:8443", "POST / HTTP/1.1", "a.example:8443", ("a.example", 8443)),
        ("https://[2003::1]/x", "POST /x HTTP/1.1", "[2003::1]", ("2003::1", 443)),
        ('http://h/a"<%20>|b', "POST /a%22%3C%20%3E%7Cb HTTP/1.1", "h", ("h", 80)),
    ],
)
def test_what_a_url_becomes(url: str, line: str, host: str, where: tuple[str, int]) -> None:
    place = target(url)
    assert place.head.decode().split("\r\n")[:2] == [line, f"Host: {host}"]
    assert (place.host, place.port) == where
