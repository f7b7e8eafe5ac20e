"""Agents to measure: real hermes, each with a home of its own, with one provider or the other."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from benchmarks.side_by_side.nas import SlowNas
from tools.demo.home import AgentHome, NasAccess
from tools.demo.process import Served

BUNDLED, OURS = "bundled", "ours"
WORKER = Path(__file__).with_name("worker.py")
NOWHERE = "http://127.0.0.1:9"
"""A callback where nobody listens: nothing that is armed there falls due."""
LIMIT_S = 1800.0
_READY = re.compile(r"HERMES_BACKEND_READY port=(\d+)")
_MODULES = {BUNDLED: "plugins.cron_providers.chronos", OURS: "chronos_plugin"}


class RunError(Exception):
    """A run did not do what it measures; the text is for a person."""


@attrs.frozen
class Agent:
    """hermes with one home."""

    prefix: Path
    """The environment with hermes, our packages and our hook."""
    name: str
    """Who it is at NAS."""
    side: str
    home: AgentHome
    access: NasAccess
    bundle: Path | None
    """The certificates it is told to trust, in its environment."""

    @property
    def jobs_file(self) -> Path:
        """hermes's job store."""
        return self.home.hermes / "cron" / "jobs.json"

    def variables(self) -> dict[str, str]:
        """The whole environment of its processes."""
        extra = {"CHRONOS_HOOK": "0"} if self.side == BUNDLED else {}
        if self.bundle:
            extra |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.bundle))
        return self.home.environment(self.prefix / "bin", **extra)

    def configure(self, callback_url: str = NOWHERE) -> None:
        """Write its configuration and its login.

        Without a watchdog for the bundled provider, which knows none and would cancel it.
        """
        self.home.configure(self.access, callback_url)
        if self.side == BUNDLED:
            file = self.home.hermes / "config.yaml"
            config = json.loads(file.read_text())
            config["cron"]["chronos"]["watchdog"] = False
            file.write_text(json.dumps(config))

    def run(self, name: str, **arguments: object) -> dict[str, Any]:
        """Run one of `worker.py` in a fresh process; RunError unless it used our side."""
        run = self._worker(self.variables(), name, arguments)
        module = run.pop("provider")
        if not f"{module}.".startswith(f"{_MODULES[self.side]}."):
            raise RunError(f"{self.side} was to be measured, but hermes loaded {module}")
        return run

    def arm(self) -> None:
        """Have everything armed that this agent wants, by our provider, because it is quick."""
        self._worker({**self.variables(), "CHRONOS_HOOK": "1"}, "start", {})

    def seed(self, jobs: int, due: Sequence[float] = ()) -> list[str]:
        """Fill the job store: so many jobs, the first ones due at these times. Their ids."""
        ids: list[str] = self._worker(self.variables(), "seed", {"count": jobs, "due": due})["ids"]
        return ids

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `hermes …` to its end."""
        hermes = self.prefix / "bin" / "hermes"
        return _finished([hermes, *arguments], self.variables())

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Run `hermes serve` while the block runs; its base URL."""
        command: list[str | Path] = [self.prefix / "bin" / "hermes", "serve", "--port", "0"]
        log = self.home.root / "serve.log"
        server = Served(command, self.variables(), log, _READY)
        try:
            yield f"http://127.0.0.1:{server.start()}"
        finally:
            server.close()

    def _worker(
        self, environment: Mapping[str, str], name: str, arguments: Mapping[str, object]
    ) -> dict[str, Any]:
        # -P: hermes has packages of the same names as some of this checkout.
        python = self.prefix / "bin" / "python"
        command: list[str | Path] = [python, "-P", WORKER, name, json.dumps(arguments)]
        done = _finished(command, environment)
        try:
            return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))
        except ValueError:
            last = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
            raise RunError(f"{name} of {self.side} failed: {last}") from None


def _finished(
    command: Sequence[str | Path], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@attrs.define
class World:
    """Where it all happens: NAS, the environment of hermes, and a directory for homes."""

    nas: SlowNas
    prefix: Path
    root: Path
    _stores: dict[int, Path] = attrs.field(factory=dict)
    _numbers: Iterator[int] = attrs.field(factory=count)

    @property
    def bundle(self) -> Path:
        """The usual certificates, and the one that NAS has for TLS."""
        return self.root / "bundle.pem"

    @contextmanager
    def agent(
        self, side: str, jobs: int = 0, *, tls: bool = False, bundle: bool = True
    ) -> Iterator[Agent]:
        """An agent with so many jobs, all due in a day, of which NAS knows nothing yet."""
        home = AgentHome(self.root / f"{side}-home")
        shutil.rmtree(home.root, ignore_errors=True)
        home.hermes.mkdir(parents=True)
        name = f"{side}-{next(self._numbers)}"
        access = self.nas.add_agent(name, tls=tls)
        agent = Agent(self.prefix, name, side, home, access, self.bundle if bundle else None)
        agent.configure()
        home.add_script("job.sh", "echo ran\n")
        if jobs:
            agent.jobs_file.parent.mkdir(mode=0o700)
            shutil.copy(self._store(jobs), agent.jobs_file)
        try:
            yield agent
        finally:
            self.nas.remove_agent(name)
            shutil.rmtree(home.root)

    def _store(self, jobs: int) -> Path:
        """A job store with so many jobs, made once."""
        if jobs not in self._stores:
            with self.agent("seed") as agent:
                agent.seed(jobs)
                self._stores[jobs] = self.root / f"jobs-{jobs}.json"
                shutil.copy(agent.jobs_file, self._stores[jobs])
        return self._stores[jobs]
