"""No command of `nas-server` tells a secret that it was given, whatever it is told to do."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas_server.accounts import Accounts
from nas_server.cli.command_line import _parser
from nas_server.cli.options import PREFIX, gather
from nas_server.clock import system_clock
from nas_server.logins import Logins
from nas_server.policy import JetStreamPolicy
from nas_server.store import Store, open_store
from nas_server.store.jetstream.store import JetStreamStore
from tests.server.cli.conftest import Terminal
from tests.support.command_lines import parsers, usages
from tests.support.nas_server import nas_server
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.ports import free_port

PASSWORD = "Canary%2Fpass@word"
PLAIN_PASSWORD = "Canary/pass@word"
ADMIN_TOKEN = "Canary-token-of-the-page-0123456789"
SECRETS = (PASSWORD, PLAIN_PASSWORD, "pass@word", ADMIN_TOKEN)
COMMANDS = {
    " ".join(path): parser
    for path, parser in parsers(_parser(gather(None, {})))
    if parser.get_default("run")
}


def told(said: str) -> list[str]:
    return [secret for secret in SECRETS if secret in said]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """NATS that asks for a password."""
    login = f'authorization {{ user: nas, password: "{PLAIN_PASSWORD}" }}'
    with nats_cluster(tmp_path_factory.mktemp("guarded"), 1, more=login) as cluster:
        asyncio.run(_prepare(address(cluster)))
        yield cluster


def address(cluster: NatsCluster, password: str = PASSWORD) -> str:
    return f"nats://nas:{password}@{cluster.nodes[0].address}/CANARY"


async def _prepare(url: str) -> None:
    store = await open_store(url, serving=False)
    await Accounts(store).add("first", None, system_clock())
    await store.close()


async def _hasty(url: str, *, serving: bool, create: bool) -> Store:
    """The real thing, which gives up early where it would give up anyway."""
    policy = JetStreamPolicy(connect_s=0.3, patience_s=0.3)
    return await JetStreamStore.open(url, serving=serving, create=create, policy=policy)


async def _to_decide(url: str, names: list[str], *, there: bool) -> list[str]:
    """Add the agents, if they are to be there; codes of as many logins that wait."""
    store = await open_store(url, serving=False)
    accounts, now = Accounts(store), system_clock()
    logins = Logins(store, accounts)
    for name in names if there else []:
        await accounts.add(name, None, now)
    codes = [(await logins.start("client", "", "127.0.0.1", now))[1] for _ in names]
    await store.close()
    return codes


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_no_command_that_works_tells_one(
    command: str, guarded: NatsCluster, tmp_path: Path, terminal: Terminal
) -> None:
    url, parser = address(guarded), COMMANDS[command]
    config = tmp_path / "nas.toml"
    config.write_text(f'admin_token = "{ADMIN_TOKEN}"\n')
    forms = [*usages(parser)]
    names = [f"{command.replace(' ', '-')}-{number}" for number in range(len(forms))]
    codes = asyncio.run(_to_decide(url, names, there=command != "agent add"))
    statuses = []
    for number, (usage, name, code) in enumerate(zip(forms, names, codes, strict=True)):
        given = {"config": config, "store": url, "instance_id": name, "name": name, "code": code}
        given["token_file"] = tmp_path / f"token-{number}"
        arguments = [each.format_map(given) for each in (*command.split(), *usage)]
        status, out, err = terminal.run(
            *arguments, NAS_SERVER_STORE=url, NAS_SERVER_ADMIN_TOKEN=ADMIN_TOKEN
        )
        statuses.append((status, err))
        assert told(out + err) == [], arguments
    assert statuses == [(0, "")] * len(statuses)


UNUSABLE = [
    f"nats://nas:{PASSWORD}@127.0.0.1:port",
    f"nats://nas:{PASSWORD}@/na.me",
    f"nats:nas:{PASSWORD}@127.0.0.1",
    f"natz://nas:{PASSWORD}@127.0.0.1",
]
"""Stores that no URL can mean."""


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_no_store_that_cannot_be_is_told_with_its_password(
    command: str, terminal: Terminal
) -> None:
    arguments = [each.format(name="x", code="x") for each in next(usages(COMMANDS[command]))]
    for store in UNUSABLE:
        said = terminal.complaint(*command.split(), *arguments, "--store", store)
        assert told(said) == [], said


def test_no_cluster_that_refuses_is_told_with_its_password(
    guarded: NatsCluster, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas_server.store._open_jetstream", _hasty)
    host = guarded.nodes[0].address
    for store, words in (
        (address(guarded, f"{PASSWORD}x"), "Authorization Violation"),
        (f"nats://{PASSWORD}@{host}/CANARY", "Authorization Violation"),  # as if it were a token
        (address(guarded).replace("/CANARY", "/ANOTHER"), "there is no store ANOTHER"),
        (address(guarded).replace(host, f"127.0.0.1:{free_port()}"), "Connect call failed"),
        (address(guarded).replace("nats:", "tls:"), "it offers no TLS, and tls:// asks for it"),
    ):
        for _ in range(10):  # a server may hang up before it was heard why
            said = terminal.complaint("status", "--store", store)
            assert told(said) == [], said
            if words in said:
                break
        else:
            pytest.fail(said)


def mistakes(url: str, command: str) -> list[list[str]]:
    """Command lines that nobody can run, with the secret somewhere in them."""
    return [
        [command, "--stor", url],
        [command, "--store", url, "--json=yes"],
        [command, "--store", url, url],
        [command, url],
        [url],
        [f"--store={url}"],
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_mistaken_command_line_is_told_with_its_password(
    command: str, terminal: Terminal
) -> None:
    for arguments in mistakes(UNUSABLE[0], command):
        words = [each for one in arguments for each in (one.split() if one == command else [one])]
        said = terminal.complaint(*words)
        assert told(said) == [], said
    status, out, err = terminal.run(
        *command.split(), "--help", NAS_SERVER_STORE=f"nats://nas:{PASSWORD}@x"
    )
    assert (status, told(out + err)) == (0, [])


@pytest.mark.parametrize(
    "text",
    [
        f'admin_token = "{ADMIN_TOKEN}"\nport = [',
        f'admin_token = "{ADMIN_TOKEN}',
        f"admin_token = {ADMIN_TOKEN}",
        f'admin_token = ["{ADMIN_TOKEN}"]',
        f'admin_token = {{ value = "{ADMIN_TOKEN}" }}',
        f'admin_tokn = "{ADMIN_TOKEN}"',
        f'admin_token = "{ADMIN_TOKEN}"\nport = 99999',
        f'admin_token = "{ADMIN_TOKEN}"\nstore = "nats://nas:{PASSWORD}@/na.me"',
        f'stores = "nats://nas:{PASSWORD}@127.0.0.1"',
        f"{ADMIN_TOKEN}",
        f'"{ADMIN_TOKEN}',
    ],
)
def test_no_configuration_that_is_wrong_is_told_with_its_secrets(
    text: str, tmp_path: Path, terminal: Terminal
) -> None:
    file = tmp_path / "nas.toml"
    file.write_text(text)
    said = terminal.complaint("status", "--config", str(file))
    assert told(said) == [], said


def test_no_server_tells_one(guarded: NatsCluster, tmp_path: Path) -> None:
    config = tmp_path / "nas.toml"
    config.write_text(f'admin_token = "{ADMIN_TOKEN}"\nlog_level = "debug"\n')
    with nas_server(tmp_path, "--config", str(config), store=address(guarded)) as server:
        assert told(server.url) == []  # the one line that it prints
    log = server.log.read_text()
    assert f'"page": "{server.url}/admin/"' in log
    assert told(log) == []


def test_no_server_that_cannot_start_tells_one() -> None:
    command = [sys.executable, "-m", "nas_server", "serve", "--port", "0", "--log-level", "debug"]
    given = {**os.environ, f"{PREFIX}STORE": UNUSABLE[0], f"{PREFIX}ADMIN_TOKEN": ADMIN_TOKEN}
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert (done.returncode, told(done.stdout + done.stderr)) == (2, [])
