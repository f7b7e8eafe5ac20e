"""What a store says when it cannot be opened, and what it makes of a cluster."""

import asyncio
import contextlib
import json
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from nas_sdk import IdentityRejectedError, NasClient, UnauthorizedError
from nas_server.app import Nas
from nas_server.cli import serving
from nas_server.policy import JetStreamPolicy, ServerConfig
from nas_server.store import StoreError, open_store
from nas_server.store.base import GoneError
from nas_server.store.jetstream.setup import Place
from nas_server.store.jetstream.store import JetStreamStore
from tests.support.jetstream_store import new_url, opened
from tests.support.nas_in_process import eventually
from tests.support.nas_server import NasServer
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.patience import PATIENCE_S
from tests.support.ports import free_port

SECRET = "s3cret-word"


HASTY = JetStreamPolicy(connect_s=0.3, patience_s=0.3)
"""Gives up early, where it would give up anyway."""


def test_a_url_names_servers_and_a_store() -> None:
    place = Place.parse("nats://me:word@one:4222,two:4222,[::1]:4223/blue")
    assert place.servers == ("nats://one:4222", "nats://two:4222", "nats://[::1]:4223")
    assert place.login == {"user": "me", "password": "word"}
    assert place.names.state == "blue_STATE"
    assert "word" not in repr(place)
    assert Place.parse("tls://one").servers == ("tls://one",)
    assert Place.parse("tls://one").login == {}
    assert Place.parse("nats://one").names.alarms == "NAS_ALARMS"


@pytest.mark.parametrize(
    "url",
    [
        "nats://",
        f"nats://me:{SECRET}@",
        f"nats://me:{SECRET}@one:4222,",
        f"nats://me:{SECRET}@one:port",
        f"nats://me:{SECRET}@one/two/three",
        f"nats://me:{SECRET}@one/na.me",
        f"redis://me:{SECRET}@one",
    ],
)
async def test_a_bad_url_is_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(StoreError, match="nats://HOST:PORT") as caught:
        await open_store(url, serving=False)
    assert SECRET not in str(caught.value)


async def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=f"cannot reach NATS at 127.0.0.1:{port}") as caught:
        await JetStreamStore.open(f"nats://me:{SECRET}@127.0.0.1:{port}", policy=HASTY)
    assert SECRET not in str(caught.value)


async def test_no_password_goes_to_a_server_without_tls() -> None:
    said: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"version": "2.12.0", "auth_required": true}\r\n')
        said.append(await reader.read())  # to its end
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(StoreError, match="offers no TLS, and tls:// asks for it"):
        await JetStreamStore.open(f"tls://me:{SECRET}@127.0.0.1:{port}", policy=HASTY)
    server.close()
    await server.wait_closed()
    assert said
    assert b"".join(said) == b""


@asynccontextmanager
async def says_it_is(version: str) -> AsyncIterator[int]:
    """A server that greets as NATS of a version does; yields its port."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        about = {"server_id": "N", "version": version, "max_payload": 1_048_576, "headers": True}
        writer.write(b"INFO " + json.dumps(about).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("version", ["2.11.11", "2.9.0", "1.4.1"])
async def test_an_old_server_is_refused_by_its_version(version: str) -> None:
    async with says_it_is(version) as port:
        with pytest.raises(StoreError, match=f"version {version}.* 2.12: upgrade") as caught:
            await open_store(f"nats://127.0.0.1:{port}", serving=True)
    assert f"127.0.0.1:{port}" in str(caught.value)


@pytest.mark.parametrize(
    ("known", "login"),
    [
        ('user: "na s", password: "pa/s@s%2F"', "na%20s:pa%2Fs%40s%252F"),
        ('token: "a/b:c"', "a%2Fb%3Ac"),
    ],
)
async def test_a_login_may_have_any_character(tmp_path: Path, known: str, login: str) -> None:
    with nats_cluster(tmp_path, 1, more=f"authorization {{ {known} }}\n") as cluster:
        (node,) = cluster.nodes
        await (await open_store(f"nats://{login}@{node.address}", serving=True)).close()
        with pytest.raises(StoreError, match="cannot reach NATS") as caught:
            await JetStreamStore.open(f"nats://{login}x@{node.address}", policy=HASTY)
        assert login not in str(caught.value)


async def test_without_jetstream(tmp_path: Path) -> None:
    with (
        nats_cluster(tmp_path, 1, jetstream=False) as cluster,
        pytest.raises(StoreError, match=r"run with it \(-js\)"),
    ):
        await JetStreamStore.open(cluster.url, policy=HASTY)


async def test_a_stream_of_somebody_else_is_left_alone(nats_one: NatsCluster) -> None:
    url = new_url(nats_one)
    client = await nats.connect(nats_one.nodes[0].address)
    theirs = f"{url.rpartition('/')[2]}_STATE"
    await client.jetstream().add_stream(name=theirs, subjects=["their.own"])
    with pytest.raises(StoreError, match=f"stream {theirs} was not made by nas-server"):
        await open_store(url, serving=True)
    assert (await client.jetstream().stream_info(theirs)).config.subjects == ["their.own"]
    await client.close()


async def test_only_looking_makes_nothing(nats_one: NatsCluster) -> None:
    url = new_url(nats_one)
    with pytest.raises(StoreError, match=r"no store \w+ at 127.0.0.1:\d+: `nas-server serve`"):
        await open_store(url, serving=False, create=False)
    client = await nats.connect(nats_one.nodes[0].address)
    for stream in ("STATE", "ALARMS", "HISTORY"):
        with pytest.raises(NotFoundError):
            await client.jetstream().stream_info(f"{url.rpartition('/')[2]}_{stream}")
    await client.close()
    await (await open_store(url, serving=False)).close()
    await (await open_store(url, serving=False, create=False)).close()


@pytest.mark.parametrize(("servers", "replicas"), [("nats_one", 1), ("nats_three", 3)])
async def test_all_is_kept_on_three_servers_where_there_are_three(
    request: pytest.FixtureRequest, servers: str, replicas: int
) -> None:
    cluster: NatsCluster = request.getfixturevalue(servers)
    url = new_url(cluster)
    async with opened(url, JetStreamPolicy()):
        client = await nats.connect(cluster.nodes[0].address)
        for stream in ("STATE", "ALARMS"):
            found = await client.jetstream().stream_info(f"{url.rpartition('/')[2]}_{stream}")
            assert (found.config.num_replicas, found.config.storage) == (replicas, "file")
        await client.close()


async def test_attempts_are_kept_for_a_day_and_so_many(nats_one: NatsCluster) -> None:
    async with opened(new_url(nats_one), JetStreamPolicy()) as store:
        found = await store._link.api(f"STREAM.INFO.{store._link.names.history}", {})
    limits = ("max_age", "max_msgs_per_subject", "max_msgs", "discard")
    assert [found["config"][name] for name in limits] == [
        24 * 3_600 * 1_000_000_000,
        500,
        200_000,
        "old",
    ]


async def test_processes_that_start_together_agree(nats_three: NatsCluster) -> None:
    url = new_url(nats_three)
    stores = await asyncio.gather(*(open_store(url, serving=True) for _ in range(4)))
    await stores[0].write("agent", "a", {"n": 1})
    assert [await store.read("agent", "a") for store in stores] == [{"n": 1}] * 4
    for store in stores:
        await store.close()


async def test_the_command_line_works_on_a_cluster(nats_one: NatsCluster) -> None:
    url = new_url(nats_one)

    async def nas_server(*arguments: str) -> dict[str, object]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nas_server", *arguments, "--store", url, "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        found: dict[str, object] = json.loads(said)
        return found

    assert (await nas_server("agent", "add", "one", "--create"))["name"] == "one"
    told = await nas_server("status")
    assert (told["agents"], told["armed"], told["dead"]) == (1, 0, [])


async def test_an_agent_added_on_a_cluster_is_known_to_its_servers(
    nats_one: NatsCluster, tmp_path: Path
) -> None:
    server = NasServer(tmp_path)
    server.store = new_url(nats_one)
    server.start()
    try:
        login = server.add_agent("one")
        with NasClient(server.url, login.token) as client:
            assert await asyncio.to_thread(client.list_armed) == []
            anew = server.rotate_token("one")
            assert anew.token != login.token
            with pytest.raises(UnauthorizedError):
                await asyncio.to_thread(client.list_armed)
        for shown in ("list", "list --json"):
            assert anew.token not in server.command("agent", *shown.split())
        server.revoke("one")
        with NasClient(server.url, anew.token) as client, pytest.raises(IdentityRejectedError):
            await asyncio.to_thread(client.list_armed)
    finally:
        server.close()


async def test_an_idle_server_whose_login_is_taken_away_ends(nats_one: NatsCluster) -> None:
    store = await JetStreamStore.open(new_url(nats_one))
    nas = Nas(store, ServerConfig(issuer="http://nas.test"))
    listener = serving._listen("127.0.0.1", 0)
    with contextlib.closing(listener):
        running = asyncio.create_task(serving._serve(listener, "http://nas.test", "off", nas))

        async def idle() -> bool:
            return hasattr(nas, "relay") and nas.relay._asleep_until == math.inf

        await eventually(idle)
        await store._link.client._process_err("'Authorization Violation'")  # as a server says it
        with pytest.raises(GoneError, match="Authorization Violation"):
            async with asyncio.timeout(PATIENCE_S):
                await running
    await store.close()


def test_what_opening_it_has_to_say_is_logged_as_all_else(
    nats_one: NatsCluster, tmp_path: Path
) -> None:
    server = NasServer(tmp_path, store=new_url(nats_one))
    server.start()
    server.close()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert (lines[0]["event"], lines[0]["level"]) == ("no_storage_limit", "warning")
    assert "max_file" in lines[0]["reason"]
