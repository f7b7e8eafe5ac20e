"""`nas-server` as a person meets it: real processes, one line when something is wrong."""

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import NoneType

import attrs
import httpx
import pytest

from nas_sdk import Arm, IdentityRejectedError, NasClient, RateLimitedError, UnauthorizedError
from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server import logs
from nas_server.__main__ import main
from nas_server.accounts import Accounts
from nas_server.app import Nas
from nas_server.cli import admin, serving
from nas_server.cli.admin import without_password
from nas_server.cli.options import DEFAULTS, PREFIX
from nas_server.clock import system_clock
from nas_server.policy import ServerConfig
from nas_server.store import Store, open_store
from tests.server.cli.conftest import Terminal
from tests.support.agent_stub import AgentStub, agent_stub, held
from tests.support.durations import DAY, HOUR
from tests.support.hermes_host import eventually as wait_for
from tests.support.nas_in_process import eventually
from tests.support.nas_server import NasServer, NasServerError, nas_server
from tests.support.patience import PATIENCE_S
from tests.support.ports import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NasServer]:
    with nas_server(tmp_path) as running:
        yield running


def test_agents_while_the_server_runs(server: NasServer) -> None:
    agent = server.add_agent("one", instance_id="i-1")
    assert agent.audience == "agent:i-1"
    with NasClient(server.url, agent.token) as client:
        assert client.list_armed() == []
        server.rotate_token("one")
        with pytest.raises(UnauthorizedError):
            client.list_armed()
    again = server.rotate_token("one")
    server.revoke("one")
    with NasClient(server.url, again.token) as client, pytest.raises(IdentityRejectedError):
        client.list_armed()
    listed = json.loads(server.command("agent", "list", "--json"))
    assert [(each["name"], each["revoked"]) for each in listed] == [("one", True)]
    assert "revoked" in server.command("agent", "list")
    with pytest.raises(NasServerError, match=r"^nas-server: no agent two; "):
        server.revoke("two")


def test_status_for_people_and_programs(server: NasServer) -> None:
    agent = server.add_agent()
    with NasClient(server.url, agent.token) as client:
        client.provision("job", "2099-01-01T00:00:00Z", "http://127.0.0.1:9")
    told = json.loads(server.command("status", "--json"))
    (kid,) = told.pop("keys")
    assert told == {
        "store": server.store,
        "agents": 1,
        "armed": 1,
        "due": 0,
        "storage": "ok",
        "lateness": {"of": 0, "p50_ms": None, "p99_ms": None, "worst_ms": None},
        "page": False,
        "dead_count": 0,
        "dead": [],
    }
    shown = dict(line.split(None, 1) for line in server.command("status").splitlines())
    assert shown == {
        "store": server.store,
        "agents": "1",
        "armed": "1",
        "due": "0",
        "storage": "ok",
        "dead": "0",
        "late": "nothing fired within a day",
        "keys": kid,
        "page": "off",
    }


async def fired(server: NasServer, agent: AgentStub) -> str:
    """Have a new agent get a fire, and return the agent's token."""
    token = server.add_agent().token
    with NasClient(server.url, token) as client:
        now = format_instant(system_clock())
        await asyncio.to_thread(client.provision, "job", now, agent.url)
    await agent.until(1)
    return token


async def test_status_says_how_late_fires_were(tmp_path: Path) -> None:
    async with agent_stub(system_clock) as agent:
        with nas_server(tmp_path) as server:
            await fired(server, agent)
            assert await asyncio.to_thread(server.stop) == 0
            told = json.loads(server.command("status", "--json"))["lateness"]
            assert told["of"] == 1
            assert 0 <= told["p50_ms"] == told["worst_ms"]
            assert ", of the last 1\n" in server.command("status")


async def filled(url: str) -> list[str]:
    """Make a store with something of everything that `status` tells; return who was given up."""
    now = system_clock()
    store = await open_store(url, serving=True)

    async def armed(job: str, due_ms: int) -> StoredOneShot:
        at = format_instant(due_ms)
        one = one_shot.fresh("a", job, at, "http://127.0.0.1:9", job, f"os_{job}", due_ms - DAY)
        await store.provision(one, due_ms - DAY)
        return one

    async def attempted(at: int, note: str, *, ended: bool) -> None:
        for each in await store.due(at, 1_000):
            result = DeliveryResult(ended=ended, note=note, retry_after_ms=0)
            await store.settle(each, result, at)

    try:
        accounts = Accounts(store)
        for name in ("a", "b", "revoked"):
            await accounts.add(name, None, now)
        await accounts.revoke("revoked")
        dead = []
        for days, note in ((3, "503"), (4, "unreachable: Connection refused")):
            one = await armed(f"dead{days}", now - days * DAY)
            await attempted(one.due_ms, "timeout", ended=False)
            await attempted(one.due_ms + DAY, note, ended=False)
            dead.append(one.fire_at)
        for n in range(101):
            await armed(f"fired{n}", now - HOUR - 10 * n)
        await attempted(now - HOUR, "202", ended=True)
        for n in range(3):
            await armed(f"later{n}", now + HOUR)
        for n in range(2):
            await armed(f"due{n}", now - HOUR)
        return dead
    finally:
        await store.close()


def test_status_of_a_store_with_everything(
    tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:{tmp_path / 'nas.db'}"
    newer, older = asyncio.run(filled(url))
    kid = json.loads(terminal.run("keys", "rotate", "--json", "--store", url)[1])["kid"]
    assert terminal.run("admin", "token", "--store", url)[0] == 0
    told = json.loads(terminal.run("status", "--json", "--store", url)[1])
    assert told == {
        "store": url,
        "agents": 2,
        "armed": 5,
        "due": 2,
        "storage": "ok",
        "lateness": {"of": 101, "p50_ms": 500, "p99_ms": 990, "worst_ms": 1_000},
        "keys": [kid],
        "page": True,
        "dead_count": 2,
        "dead": [
            {"agent": "a", "job_id": "dead3", "fire_at": newer, "attempts": 2, "last": "503"},
            {
                "agent": "a",
                "job_id": "dead4",
                "fire_at": older,
                "attempts": 2,
                "last": "unreachable: Connection refused",
            },
        ],
    }
    monkeypatch.setattr(admin, "SHOWN", 1)
    shown = terminal.run("status", "--store", url)[1].splitlines()
    assert [line.split(None, 1) for line in shown] == [
        ["store", url],
        ["agents", "2"],
        ["armed", "5"],
        ["due", "2"],
        ["storage", "ok"],
        ["dead", "2"],
        ["late", "median 500 ms, 99 % 990 ms, worst 1000 ms, of the last 101"],
        ["keys", kid],
        ["page", "on"],
        ["a", f"dead3  {newer}  2  503"],
        ["and", "1 more that were given up before"],
    ]


@attrs.define
class Started:
    """A server as it is about to serve."""

    url: str
    page: str
    nas: Nas
    descriptors: tuple[int, int]


def test_every_option_of_serve_has_its_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "host": "127.0.0.2",
        "port": str(free_port()),
        "store": f"sqlite:{tmp_path / 'other.db'}",
        "issuer": "https://nas.example.com",
        "admin_token": "a-token-that-somebody-made-up",
        "allow_private_callbacks": "true",
        "per_agent": "3",
        "calls": "7",
        "one_shots": "11",
        "grace": "1.5",
        "log_level": "error",
    }
    assert given.keys() == DEFAULTS.keys()
    started: list[Started] = []

    async def noted(listener: socket.socket, url: str, page: str, nas: Nas) -> None:
        assert logs.LOGGER.level == logging.ERROR
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
        started.append(Started(url, page, nas, descriptors))

    monkeypatch.setattr(serving, "_serve", noted)
    interval, (few, most) = sys.getswitchinterval(), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few - 1, most))
    for name, value in given.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", value)
    try:
        assert main(["serve"]) == 0
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(interval)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    (server,) = started
    assert server.url == f"http://127.0.0.2:{given['port']}"
    assert server.page == f"{server.url}/admin/"
    assert server.nas._settings == ServerConfig(
        issuer="https://nas.example.com",
        allow_private_callbacks=True,
        per_agent=3,
        calls=7,
        one_shots=11,
        grace_s=1.5,
    )
    assert (tmp_path / "other.db").exists()
    assert server.descriptors == (most, most)  # each delivery under way takes one


def test_a_store_is_shown_without_its_password() -> None:
    shown = without_password("nats://nas:secret@10.0.0.1:4222,10.0.0.2:4222/NAS")
    assert shown == "nats://…@10.0.0.1:4222,10.0.0.2:4222/NAS"
    assert without_password("sqlite:/a@b/nas.db") == "sqlite:/a@b/nas.db"


def log_in(server: NasServer, token: str) -> int:
    """Send the page's login form; the status of the answer."""
    with httpx.Client() as client:
        headers = {"Sec-Fetch-Site": "same-origin"}
        answer = client.post(f"{server.url}/admin/login", data={"token": token}, headers=headers)
        return answer.status_code


def test_the_page_is_turned_on_and_off_while_the_server_runs(server: NasServer) -> None:
    assert httpx.get(f"{server.url}/admin/").status_code == 404
    told = json.loads(server.command("admin", "token", "--json"))
    assert (told["page"], log_in(server, told["token"])) == ("on", 303)
    assert told["token"] not in Path(server.store.removeprefix("sqlite:")).read_bytes().decode(
        errors="replace"
    )
    again = json.loads(server.command("admin", "token", "--json"))["token"]
    assert (log_in(server, told["token"]), log_in(server, again)) == (403, 303)
    assert json.loads(server.command("status", "--json"))["page"] is True
    server.command("admin", "token", "--off")
    assert log_in(server, again) == 404


def first_line(server: NasServer) -> dict[str, str]:
    """What a server logged first: its thread for the log may still be at it."""
    wait_for(lambda: "\n" in server.log.read_text(), "a line in the log")
    line: dict[str, str] = json.loads(server.log.read_text().splitlines()[0])
    assert line["event"] == "ready"
    return line


def test_the_start_says_whether_there_is_a_page(tmp_path: Path, server: NasServer) -> None:
    ready = first_line(server)
    assert ready["page"].startswith("the page is off: `nas-server admin token`")
    token = "a-token-that-somebody-made-up"
    config = tmp_path / "nas.toml"
    config.write_text(f'admin_token = "{token}\\n"\n')  # as secrets come out of files
    directory = tmp_path / "other"
    directory.mkdir()
    with nas_server(directory, "--config", str(config)) as other:
        ready = first_line(other)
        assert ready["page"] == f"{other.url}/admin/"
        assert log_in(other, token) == 303
        assert token not in other.log.read_text()


def test_a_stop_is_graceful_and_the_port_stays(server: NasServer) -> None:
    url = server.url
    assert server.stop() == 0
    events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
    assert events == ["ready", "stopping", "relay_stopped", "stopped"]
    server.start()
    assert server.url == url


def test_rotated_keys_are_published_by_the_running_server(server: NasServer) -> None:
    told = json.loads(server.command("keys", "rotate", "--json"))
    _wait_for_key(server.jwks_url, told["kid"])


def _wait_for_key(jwks_url: str, kid: str) -> None:
    # The server looks every two seconds; each request is a chance for it to do so.
    end = time.monotonic() + PATIENCE_S
    with httpx.Client() as client:
        while time.monotonic() < end:
            if kid in {key["kid"] for key in client.get(jwks_url).json()["keys"]}:
                return
    raise AssertionError("the new key was not published")


async def test_no_secret_is_logged(tmp_path: Path) -> None:
    async with agent_stub(system_clock) as agent:
        with nas_server(tmp_path, "--log-level", "debug") as server:
            token = await fired(server, agent)
            assert server.stop() == 0
            log = server.log.read_text()
    assert '"event": "fire"' in log
    assert token not in log
    assert agent.fires[0].token.split(".")[2] not in log
    assert "PRIVATE" not in log


async def test_a_stop_waits_for_a_delivery_and_hands_back_a_longer_one(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with agent_stub(system_clock) as agent:
        agent.answers.append(held(gate))
        with nas_server(tmp_path, "--grace", "0") as server:
            await fired(server, agent)
            assert await asyncio.to_thread(server.stop) == 0
            assert '"handed_back": 1' in server.log.read_text()
            gate.set()
            await asyncio.to_thread(server.start)
            await agent.until(2)
    assert agent.fires[0].fire_at == agent.fires[1].fire_at


async def test_a_second_signal_waits_for_no_delivery(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with agent_stub(system_clock) as agent:
        agent.usual = held(gate)
        with nas_server(tmp_path, "--grace", "3600") as server:
            await fired(server, agent)
            os.kill(server.pid, signal.SIGTERM)

            async def stopping() -> bool:
                return '"stopping"' in server.log.read_text()

            await eventually(stopping)
            assert await asyncio.to_thread(server.stop) == 0  # with a second signal
            assert '"handed_back": 1' in server.log.read_text()


def test_how_often_an_agent_may_call_is_an_option(tmp_path: Path) -> None:
    with nas_server(tmp_path, "--calls", "1") as server:
        login = server.add_agent()
        with NasClient(server.url, login.token, max_attempts=1) as client:
            at = format_instant(system_clock() + 3_600_000)
            arms = [Arm(f"job{n}", at, "https://x.example") for n in range(120)]
            done = client.provision_many(arms)
    assert {type(each.error) for each in done} == {NoneType, RateLimitedError}


def test_a_second_server_on_the_same_store(server: NasServer) -> None:
    said = rf"\Anas-server: .* in use by another nas-server \(process {server.pid}\).*\Z"
    with pytest.raises(NasServerError, match=said):
        server.command("serve", "--port", "0")


def test_a_port_in_use(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1:{port}" in terminal.complaint("serve", "--port", port)


def test_wrong_use_is_one_line(tmp_path: Path, terminal: Terminal) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    (tmp_path / "broken.toml").write_text("port = [")
    (tmp_path / "unknown.toml").write_text("prot = 1")
    assert "required: COMMAND" in terminal.complaint()
    assert "invalid choice: 'fly'" in terminal.complaint("fly")
    assert "'x' is not a number" in terminal.complaint("serve", "--port", "x")
    assert "unrecognized arguments: --conf" in terminal.complaint("status", "--conf", "x")
    short = terminal.complaint("status", NAS_SERVER_ADMIN_TOKEN="secret")
    assert "admin_token is too short" in short
    assert "secret" not in short
    assert "write sqlite:PATH" in terminal.complaint("status", "--store", "redis:x")
    for command in (["status"], ["agent", "list"], ["keys", "rotate"]):
        assert "nas.db: No such file" in terminal.complaint(*command, "--store", store)
    nowhere = f"sqlite:{tmp_path}/no/x.db"
    assert "No such file" in terminal.complaint("agent", "add", "a", "--store", nowhere)
    assert "cannot open ~nobody-here" in terminal.complaint(
        "status", "--store", "sqlite:~nobody-here/nas.db"
    )
    assert "cannot listen on a..b" in terminal.complaint("serve", "--host", "a..b", "--port", "0")
    assert "is not a base URL" in terminal.complaint("serve", "--issuer", "https://")
    for line, words in (
        ("port = true", "a value"),
        ('allow_private_callbacks = "yes"', "true or false"),
    ):
        (tmp_path / "kind.toml").write_text(line)
        assert words in terminal.complaint("status", "--config", str(tmp_path / "kind.toml"))
    assert "say --issuer" in terminal.complaint("serve", "--host", "0.0.0.0", "--port", "0")
    assert "is not a base URL" in terminal.complaint("serve", "--issuer", "nas.example.com")
    assert "is not TOML" in terminal.complaint("status", "--config", str(tmp_path / "broken.toml"))
    assert "no option 'prot'" in terminal.complaint(
        "status", "--config", str(tmp_path / "unknown.toml")
    )
    assert "cannot read" in terminal.complaint(
        "status", NAS_SERVER_CONFIG=str(tmp_path / "none.toml")
    )
    assert "'x' is not a number" in terminal.complaint(
        "serve", "--store", store, NAS_SERVER_PORT="x"
    )
    assert "true or false" in terminal.complaint(
        "status", NAS_SERVER_ALLOW_PRIVATE_CALLBACKS="maybe"
    )


@pytest.fixture
def small(tmp_path: Path, terminal: Terminal) -> str:
    """The URL of a store with one agent."""
    url = f"sqlite:{tmp_path / 'nas.db'}"
    assert terminal.run("agent", "add", "a", "--create", "--store", url)[0] == 0
    return url


def test_an_interrupt_is_130(
    small: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(store: Store, options: Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(admin, "status", interrupted)
    assert terminal.run("status", "--store", small) == (130, "", "")


@pytest.mark.parametrize("buffering", [1, -1])
def test_a_reader_that_has_gone_is_141_and_no_traceback(
    small: str, buffering: int, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert terminal.run("status", "--store", small) == (141, "", "")
        stdout.write("what is written after it is lost")


def test_an_empty_variable_says_nothing(tmp_path: Path, terminal: Terminal) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    add = ("agent", "add", "a", "--create", "--store", store)
    assert terminal.run(*add, NAS_SERVER_PORT="")[0] == 0


def test_help_shows_no_password(terminal: Terminal) -> None:
    given = {"NAS_SERVER_STORE": "nats://nas:x/hunter%2@127.0.0.1:4222"}
    for command in ("serve", "status"):
        status, out, _ = terminal.run(command, "--help", **given)
        assert (status, "hunter" in out, "127.0.0.1:4222" in out) == (0, False, True)


def test_a_broken_request_does_not_get_into_the_log(server: NasServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hunter\x01\r\n\r\n"
        )
        assert b" 400 " in connection.recv(4_096)
    server.stop()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line["library"] for line in lines if line["event"] == "library_message"] == [
        "aiohttp.server"
    ]
    assert "hunter" not in server.log.read_text()
    server.start()


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, terminal: Terminal
) -> None:
    names = {n: f"sqlite:{tmp_path / n}" for n in ("flag.db", "environment.db", "file.db")}
    config = tmp_path / "nas.toml"
    config.write_text(f'store = "{names["file.db"]}"\n')

    def made(*flags: str, **environment: str) -> list[str]:
        add = ("agent", "add", "a", "--create", *flags)
        status, _, err = terminal.run(*add, NAS_SERVER_CONFIG=str(config), **environment)
        assert status == 0, err
        files = sorted(tmp_path.glob("*.db"))
        found = [file.name for file in files]
        for file in files:
            file.unlink()
        return found

    both = {"NAS_SERVER_STORE": names["environment.db"]}
    assert made("--store", names["flag.db"], **both) == ["flag.db"]
    assert made(**both) == ["environment.db"]
    assert made() == ["file.db"]


def test_a_hang_up_ends_no_server(server: NasServer) -> None:
    os.kill(server.pid, signal.SIGHUP)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert server.stop() == 0
    events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
    assert events[:2] == ["ready", "hangup_ignored"]
    server.start()


def test_wrong_configuration_names_where_it_stands(tmp_path: Path, terminal: Terminal) -> None:
    config = tmp_path / "nas.toml"
    for line, words in (
        ("port = 99999", "port: '99999' is not a number from 0 to 65535"),
        ('issuer = "nas"', "issuer: 'nas' is not a base URL"),
        ('log_level = "loud"', "log_level: 'loud' is none of"),
        ("grace = -1", "grace: '-1' is not a number"),
    ):
        config.write_text(line)
        assert f"{config}: {words}" in terminal.complaint("status", "--config", str(config))
    assert "NAS_SERVER_CALLS: 'x' is not" in terminal.complaint("status", NAS_SERVER_CALLS="x")


def test_variables_that_are_no_options_are_told(tmp_path: Path, terminal: Terminal) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    add = ("agent", "add", "a", "--create", "--store", store)
    status, _, err = terminal.run(*add, NAS_SERVER_PROT="1")
    assert status == 0
    assert "NAS_SERVER_PROT is no option and has no effect; did you mean NAS_SERVER_PORT?" in err


ADDS = (("agent", "add", "a"), ("admin", "token"))


@pytest.mark.parametrize("command", ADDS)
def test_no_store_is_made_unasked(
    command: tuple[str, ...], tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "nas.db"
    assert f"there is no store {file}: --create makes it" in terminal.complaint(*command)
    assert list(tmp_path.iterdir()) == []
    assert terminal.run(*command, "--create")[0] == 0
    assert file.exists()
    assert terminal.run("agent", "add", "b")[0] == 0  # one that is there


TOKENS = (("agent", "add", "b"), ("agent", "rotate", "a"), ("admin", "token"))


@pytest.mark.parametrize("command", TOKENS)
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_a_token_goes_into_a_file_of_its_owner(
    command: tuple[str, ...], json_too: tuple[str, ...], tmp_path: Path, terminal: Terminal
) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    assert terminal.run("agent", "add", "a", "--create", "--store", store)[0] == 0
    file = tmp_path / "token"
    full = (*command, "--token-file", str(file), "--store", store)
    before = os.umask(0)
    try:
        status, out, err = terminal.run(*full, *json_too)
    finally:
        os.umask(before)
    token = file.read_text("ascii").removesuffix("\n")
    assert (status, err) == (0, "")
    assert str(file) in out
    assert token.startswith("nas_")
    assert token not in out
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"--token-file {file} is there already" in terminal.complaint(*full)
    assert file.read_text("ascii") == f"{token}\n"


def test_a_token_file_that_cannot_be(tmp_path: Path, terminal: Terminal) -> None:
    store = f"sqlite:{tmp_path / 'nas.db'}"
    add = ("agent", "add", "a", "--create", "--store", store)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name, said in (
        (f"{tmp_path}/no/token", "No such file"),
        (str(tmp_path), "is there already"),
        (str(tmp_path / "link"), "is there already"),
        ("a\0b", "no file name"),
    ):
        assert said in terminal.complaint(*add, "--token-file", name)
    assert "not allowed with" in terminal.complaint(*add, "--no-token", "--token-file", "x")
    listed = terminal.run("agent", "list", "--store", store)
    assert (listed[0], listed[1]) == (0, "")  # nor was the agent added
    assert terminal.run(*add)[0] == 0
    left = tmp_path / "left"
    assert "agent a exists" in terminal.complaint(*add, "--token-file", str(left))
    assert not left.exists()  # no file without a token
