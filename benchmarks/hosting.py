"""Real servers for measurements: new stores of a kind, agents in them, what a process costs."""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from benchmarks.load import post
from nas_sdk._core.instants import format_instant
from nas_server.accounts import Accounts
from nas_server.store import Store, open_store
from tests.support.nas_server import NasServer, nas_server
from tests.support.nats_cluster import nats_cluster

KINDS = ("sqlite", "nats", "nats1")
AGENTS = 1_000


class Stores:
    """Stores of a kind, all on the disk of this machine."""

    def __init__(
        self, directory: Path, new: Callable[[int], str], beside: tuple[int, ...] = ()
    ) -> None:
        """Have ``new`` tell the URL of the store with a number.

        The processes ``beside`` the server are those of the store.
        """
        self.beside = beside
        self.filled: tuple[str, float] | None = None
        """A store that is full, and what it takes on disk, in MiB; kept for later rounds."""
        self._directory = directory
        self._new = new
        self._numbers = itertools.count(1)

    def new(self) -> str:
        """Return the URL of a store that nobody has used."""
        return self._new(next(self._numbers))

    def disk_mb(self) -> float:
        """Return what all of them take, in MiB."""
        size = 0
        for folder, _, names in os.walk(self._directory):
            for name in names:
                with suppress(FileNotFoundError):  # a server at work renames and removes
                    size += (Path(folder) / name).stat().st_size
        return size / 2**20


def provision(token: str, job_id: str, due_ms: int, url: str) -> bytes:
    """Return a provision as a request."""
    at = format_instant(due_ms)
    body = {
        "job_id": job_id,
        "fire_at": at,
        "agent_callback_url": url,
        "dedup_key": f"{job_id}:{at}",
    }
    return post("/api/agent-cron/provision", token, body)


@contextmanager
def stores(kind: str) -> Iterator[Stores]:
    """Provide stores of a kind, gone after the block."""
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        directory = Path(name)
        if kind == "sqlite":
            yield Stores(directory, lambda n: f"sqlite:{directory / f'nas-{n}.db'}")
        else:
            with nats_cluster(directory, 1 if kind == "nats1" else 3) as cluster:
                beside = tuple(node.pid for node in cluster.nodes)
                yield Stores(directory, lambda n: f"{cluster.url}/S{n}", beside)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """Open a store without serving from it."""
    store = await open_store(url, serving=False)
    try:
        yield store
    finally:
        await store.close()


async def logins(url: str, prefix: str, count: int) -> list[str]:
    """Add so many agents to a store; return their tokens."""
    async with opened(url) as store:
        accounts = Accounts(store)
        return [(await accounts.add(f"{prefix}{n}", f"{prefix}{n}", 0))[1] for n in range(count)]


@asynccontextmanager
async def server(
    stores: Stores, hanging: int = 0, agents: int = AGENTS
) -> AsyncIterator[tuple[NasServer, list[str], list[str]]]:
    """Run a quiet server; return the tokens of its agents, and of those that will hang."""
    url = stores.new()
    tokens, hung = await logins(url, "a", agents), await logins(url, "h", hanging)
    with nas_server(None, "--log-level", "error", store=url) as running:
        yield running, tokens, hung


def cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the memory a process has, in MiB."""
    return (
        int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    )
