"""Real hermes for tests: its environment, its home, its command line and its servers."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from nas_sdk._version import __version__
from tests.support import loaded_probe
from tests.support.hermes_env import ROOT, HermesEnvironment, run
from tests.support.patience import PATIENCE_S
from tests.support.ports import free_port
from tools.demo.home import AgentHome
from tools.demo.process import Served, tail

T = TypeVar("T")

API_KEY = "a-key-of-this-test-only"
"""What the API of a server asks for."""
_POLL = 0.05
PLAIN: Mapping[str, Any] = {"trust_env": False, "verify": False}
"""Plain HTTP needs no certificates, which take longer to load than the request."""
_CREATED = re.compile(r"^Created job: (\w+)$", re.MULTILINE)
_SERVERS: Mapping[str, tuple[Sequence[str], str]] = {
    "serve": (["serve", "--port", "{port}"], r"(HERMES_BACKEND_READY)"),
    "dashboard": (
        ["dashboard", "--no-open", "--skip-build", "--port", "{port}"],
        r"(HERMES_DASHBOARD_READY)",
    ),
    "gateway": (["gateway", "run"], r"(Gateway Starting)"),
}


def eventually(attempt: Callable[[], T], what: str, patience: float = PATIENCE_S) -> T:
    """The first true answer of `attempt`. AssertionError naming `what` after `patience` s."""
    deadline = time.monotonic() + patience
    while not (answer := attempt()):
        assert time.monotonic() < deadline, f"{what}: not within {patience:.0f} s"
        time.sleep(_POLL)
    return answer


@dataclass(frozen=True)
class Loaded:
    """What a hermes process has loaded as its chronos provider."""

    provider: str | None
    """The file of the module."""
    verifier: str | None
    """The module that defines `get_fire_verifier`."""
    version: str | None
    """Ours, or None when nothing of ours is loaded."""

    def is_ours(self) -> bool:
        """Whether the provider, and the verifier if there is one yet, are this checkout's."""
        assert self.provider is not None
        package = Path(self.provider).resolve().parent
        ours = package == ROOT / "chronos_plugin"
        assert self.version == (__version__ if ours else None)
        if self.verifier is not None:
            assert self.verifier.startswith("chronos_plugin") == ours
        return ours


@dataclass(frozen=True)
class Hermes:
    """hermes with one home."""

    environment: HermesEnvironment
    home: AgentHome
    extra: Mapping[str, str] = field(default_factory=dict)

    def variables(self, **more: str) -> dict[str, str]:
        probe = self.home.root / "loaded"
        probe.mkdir(exist_ok=True)
        told = {loaded_probe.VARIABLE: str(probe), **self.extra, **more}
        return self.home.environment(self.environment.prefix / "bin", **told)

    def try_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `hermes …` to its end, which may be a failure."""
        return run([self.environment.hermes, *arguments], self.variables())

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `hermes …`; AssertionError with what it said when that fails."""
        done = self.try_cli(*arguments)
        assert done.returncode == 0, f"hermes {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done

    def python(self, code: str) -> str:
        """Run Python `code` in this environment and home. Returns what it printed."""
        done = run([self.environment.python, "-c", code], self.variables())
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def add_script(self, name: str, held_by: Path | None = None) -> str:
        """Add a script that counts its runs for `runs(name)`. Returns its file name.

        It ends at once, or when the file `held_by` or hermes is gone.
        """
        held = f'while [ -e "{held_by}" ] && kill -0 $PPID; do sleep 0.1; done\n'
        wait = held if held_by else ""
        text = f'echo run >>"{self._runs(name)}"\n{wait}echo "{name} ran"\n'
        self.home.add_script(f"{name}.sh", text)
        return f"{name}.sh"

    def create_job(self, name: str, schedule: str) -> str:
        """Create a job without a model that counts its runs. Returns its id."""
        return created(self.cli(*self.creation(name, schedule)))

    def creation(self, name: str, schedule: str) -> list[str]:
        """The command that creates such a job."""
        script = self.add_script(name)
        options = ["--name", name, "--no-agent", "--script", script, "--deliver", "local"]
        return ["cron", "create", schedule, *options]

    def runs(self, name: str) -> int:
        """How often the script of job `name` ran."""
        file = self._runs(name)
        return len(file.read_text().splitlines()) if file.exists() else 0

    def state(self) -> str:
        """Its jobs, and how its logs end: for whoever reads a failure."""
        logs = {log.name: tail(log) for log in self.home.root.rglob("*.log")}
        told = {"jobs": self.home.jobs(), **logs}
        return "\n".join(f"{name}: {what}" for name, what in told.items())

    def loaded_by_last_command(self) -> Loaded:
        """What the `hermes …` that ended last had loaded."""
        files = (self.home.root / "loaded").glob("*.json")
        return _loaded(max(files, key=lambda file: file.stat().st_mtime_ns))

    @contextmanager
    def serving(
        self, kind: str, gateway: "HermesServer | None" = None, *, alone: bool = False
    ) -> Iterator["HermesServer"]:
        """A running `serve`, `dashboard` or `gateway`, which answers HTTP already.

        Where the web servers hand fires to a gateway, one runs behind them, by default a new one,
        unless they are to be `alone`.
        """
        with ExitStack() as stack:
            forwards = kind != "gateway" and self.environment.forwards_fires
            if forwards and not gateway and not alone:
                gateway = stack.enter_context(self._running("gateway"))
            yield stack.enter_context(self._running(kind, gateway))

    @contextmanager
    def _running(
        self, kind: str, gateway: "HermesServer | None" = None
    ) -> Iterator["HermesServer"]:
        port = free_port()
        arguments, ready = _SERVERS[kind]
        api = {
            "API_SERVER_HOST": "127.0.0.1",
            "API_SERVER_PORT": gateway.port if gateway else str(port if kind == "gateway" else 9),
            "API_SERVER_KEY": API_KEY,
            "HERMES_DASHBOARD_SESSION_TOKEN": API_KEY,
            # Else the sixth start within two minutes takes ten seconds more, and each later one
            # twice as long as that before it.
            "HERMES_GATEWAY_MAX_STARTS": "0",
            **(self._web_pages() if kind == "dashboard" else {}),
        }
        command: list[str | Path] = [
            self.environment.hermes,
            *(a.format(port=port) for a in arguments),
        ]
        log = self.home.root / f"{kind}.log"
        process = Served(command, self.variables(**api), log, re.compile(ready))
        jobs = "/api/jobs" if kind == "gateway" else "/api/cron/jobs"
        server = HermesServer(self, process, f"http://127.0.0.1:{port}", jobs)
        try:
            process.start()
            eventually(server.answers, f"hermes {kind} at {server.url}")
            yield server
        finally:
            process.close()

    def _web_pages(self) -> dict[str, str]:
        """The setting for pages of our own, where those of the dashboard are not in the wheel."""
        if self.environment.has_web_pages:
            return {}
        pages = self.home.root / "pages"
        pages.mkdir(exist_ok=True)
        (pages / "index.html").write_text("<!doctype html><title>hermes</title>\n")
        return {"HERMES_WEB_DIST": str(pages)}

    def _runs(self, name: str) -> Path:
        return self.home.root / f"{name}.runs"


@dataclass(frozen=True)
class HermesServer:
    """A hermes process that answers HTTP at `url`."""

    hermes: Hermes
    process: Served
    url: str
    jobs: str
    """The path of its API of cron jobs."""

    @property
    def port(self) -> str:
        """Where it listens, on 127.0.0.1."""
        return self.url.rpartition(":")[2]

    def ask(self, method: str, path: str, **body: str) -> dict[str, Any]:
        """Use its API of cron jobs; what it answers."""
        answer = self.try_ask(method, path, **body)
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def try_ask(self, method: str, path: str, **body: str) -> httpx.Response:
        """Use its API of cron jobs, which may refuse."""
        return httpx.request(
            method,
            f"{self.url}{self.jobs}{path}",
            headers={"Authorization": f"Bearer {API_KEY}"},
            json=body or None,
            timeout=PATIENCE_S,
            **PLAIN,
        )

    def answers(self) -> bool:
        """Whether it listens already; AssertionError when it has ended."""
        assert self.process.running, f"hermes ended:\n{self.process.last_words()}"
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", **PLAIN).status_code < 500
        return False

    def fire(self, token: str, job_id: str, fire_at: str) -> httpx.Response:
        """Send a fire as NAS would."""
        return httpx.post(
            f"{self.url}/api/cron/fire",
            json={"job_id": job_id, "fire_at": fire_at},
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_S,
            **PLAIN,
        )

    def loaded(self) -> Loaded:
        """Ask the running process what it has loaded."""
        pid = self.process.pid
        file = self.hermes.home.root / "loaded" / f"{pid}.json"
        file.unlink(missing_ok=True)
        os.kill(pid, loaded_probe.SIGNAL)
        eventually(file.exists, f"an answer of hermes process {pid}")
        return _loaded(file)


def created(done: subprocess.CompletedProcess[str]) -> str:
    """The id of the job that a command says it created."""
    found = _CREATED.search(done.stdout)
    assert found is not None, done.stdout
    return found[1]


def _loaded(file: Path) -> Loaded:
    told = json.loads(file.read_text())
    return Loaded(told["provider"], told["verifier"], told["version"])
