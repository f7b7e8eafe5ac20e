"""A real `nas-server serve` in a process of its own, for tests."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs

from tests.support.patience import PATIENCE_S
from tests.support.ports import free_port
from tools.demo.process import tied

READY = "nas-server ready url="


@attrs.frozen
class AgentLogin:
    """What `nas-server agent add` prints: an agent and its token."""

    name: str
    instance_id: str
    audience: str
    token: str = attrs.field(repr=False)


class NasServerError(Exception):
    """The server or a command of it failed; the text holds what it wrote to stderr."""


class NasServer:
    """A reference NAS. It keeps its port, and so its issuer, over restarts."""

    def __init__(
        self, directory: Path, *, store: str | None = None, flags: tuple[str, ...] = ()
    ) -> None:
        """Keep the log in ``directory``, and the store too unless there is a URL of another.

        ``flags`` are more flags for `serve`.
        """
        self.store = store or f"sqlite:{directory / 'nas.db'}"
        self.log = directory / "nas-server.log"
        self.url = ""
        self._flags = flags
        self._process: subprocess.Popen[str] | None = None

    @property
    def jwks_url(self) -> str:
        """Where its keys are."""
        return f"{self.url}/.well-known/jwks.json"

    @property
    def pid(self) -> int:
        """The process id; NasServerError when it does not run."""
        return self._running().pid

    def start(self) -> None:
        """Start it and wait until it is ready; after a stop, on the same port."""
        port = self.url.rpartition(":")[2] or str(free_port())
        with self.log.open("a") as log:
            self._process = self._popen(
                "serve", "--port", port, "--allow-private-callbacks", *self._flags, stderr=log
            )
        # A server that fails to start closes its end, so this ends in either case.
        line = _output(self._process).readline()
        if not line.startswith(READY):
            self._process.wait(PATIENCE_S)
            raise NasServerError(f"no ready line but {line!r}: {self.log.read_text()[-2000:]}")
        self.url = line.removeprefix(READY).strip()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM) and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it (SIGKILL), as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Stop it if it runs."""
        if self._process is not None:
            self.stop()

    def add_agent(self, name: str = "agent", *, instance_id: str | None = None) -> AgentLogin:
        """Provision an agent; works while the server runs and before it."""
        given = () if instance_id is None else ("--instance-id", instance_id)
        return _login(self.command("agent", "add", name, *given, "--create", "--json"))

    def rotate_token(self, name: str = "agent", *flags: str) -> AgentLogin:
        """Give an agent a new token; the old one is void at once."""
        return _login(self.command("agent", "rotate", name, *flags, "--json"))

    def revoke(self, name: str = "agent") -> None:
        """Make an agent unprovisioned."""
        self.command("agent", "revoke", name)

    def command(self, *arguments: str) -> str:
        """Run another command of `nas-server` on the same store and return its stdout."""
        process = self._popen(*arguments, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=PATIENCE_S)
        if process.returncode != 0:
            raise NasServerError(err.strip())
        return out

    def _popen(self, *arguments: str, stderr: int | IO[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            tied([sys.executable, "-m", "nas_server", *arguments, "--store", self.store]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("NAS_")},
        )

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise NasServerError("the server does not run")
        return self._process

    def _end(self, number: signal.Signals) -> int:
        process = self._running()
        process.send_signal(number)
        status = process.wait(PATIENCE_S)
        _output(process).close()
        self._process = None
        return status


def _login(told: str) -> AgentLogin:
    facts = json.loads(told)
    return AgentLogin(**{field.name: facts[field.name] for field in attrs.fields(AgentLogin)})


def _output(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def nas_server(
    directory: Path | None = None, *flags: str, store: str | None = None
) -> Iterator[NasServer]:
    """Run a server while the block runs, in a temporary directory unless one is given."""
    with tempfile.TemporaryDirectory(prefix="nas-") as temporary:
        server = NasServer(directory or Path(temporary), store=store, flags=flags)
        server.start()
        try:
            yield server
        finally:
            server.close()
