"""The reference NAS as a process of its own, with every exchange of it recorded."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas_sdk import NasClient
from nas_sdk._core.instants import parse_instant
from nas_server.accounts import Accounts, AgentAccount
from nas_server.clock import system_clock
from nas_server.store import open_store
from tests.support.hermes_env import run
from tests.support.recorder import Recorder, Seen
from tools.demo.home import NasAccess
from tools.demo.process import Served

_NAS = [sys.executable, "-m", "nas_server"]


@dataclass(frozen=True)
class NasProcess:
    """A running NAS; agents reach it through `front`, which keeps what it sees."""

    store: str
    front: Recorder

    def add_agent(self, name: str) -> NasAccess:
        """Provision an agent."""
        agent, token = asyncio.run(self._added(name))
        return NasAccess(self.front.url, agent.audience, token)

    async def _added(self, name: str) -> tuple[AgentAccount, str]:
        """As `nas-server agent add` does, but without a process that has to start first."""
        store = await open_store(self.store, serving=False)
        try:
            return await Accounts(store).add(name, None, system_clock())
        finally:
            await store.close()

    def command(self, *arguments: str) -> str:
        """Run another command of `nas-server` on the same store; what it printed."""
        done = run([*_NAS, *arguments, "--store", self.store], os.environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def armed(self, agent: NasAccess) -> dict[str, int]:
        """The one-shots NAS keeps for an agent: job id to milliseconds since the epoch."""
        with NasClient(self.front.target, agent.token) as client:
            return {one.job_id: parse_instant(one.fire_at) for one in client.list_armed()}

    def calls(self, agent: NasAccess) -> list[Seen]:
        """What an agent sent, oldest first."""
        theirs = f"Bearer {agent.token}"
        return self.front.seen(lambda seen: seen.headers.get("authorization") == theirs)


@contextmanager
def nas_process(directory: Path) -> Iterator[NasProcess]:
    """Run a NAS with its store in `directory`."""
    store = f"sqlite:{directory / 'nas.db'}"
    with Recorder() as front:
        serve = ["serve", "--host", "127.0.0.1", "--port", "0", "--store", store]
        options = ["--issuer", front.url, "--allow-private-callbacks"]
        ready = re.compile(r"nas-server ready url=(\S+)")
        server = Served([*_NAS, *serve, *options], os.environ, directory / "nas.log", ready)
        try:
            front.target = server.start()
            yield NasProcess(store, front)
        finally:
            server.close()
