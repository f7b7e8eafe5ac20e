"""Where an incident is played: one agent of real hermes, one NAS that fails as ordered.

Every incident is a function that takes a `Stage`. pytest plays it with our provider; the
command `python -m tests.incidents` plays the same function with the one hermes bundles, too.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from nas_sdk._core.instants import format_instant, parse_instant
from tests.support.agents import PROVISION, Agent, agent
from tests.support.hermes_env import VERSIONS, HermesEnvironment, run
from tests.support.hermes_host import PLAIN, HermesServer, eventually
from tests.support.hermes_session import HermesSession, hermes_session
from tests.support.nas_over_http import NasOverHttp, nas_over_http
from tests.support.patience import PATIENCE_S
from tests.support.recorder import Seen

BUNDLED = {"CHRONOS_HOOK": "0"}
"""With this in its environment hermes loads the provider that it bundles."""

_PRELUDE = """
import logging, sys, threading
logging.basicConfig(level=logging.INFO)
from cron import jobs
from cron.scheduler_provider import resolve_cron_scheduler
stop = threading.Event()
provider = resolve_cron_scheduler()
result = type(provider).__module__
"""
_CREATE = """
result = jobs.create_job("", schedule, name=name, script=script, no_agent=True, deliver="local")
"""

Incident = Callable[["Stage"], None]


class BrokenPromiseError(AssertionError):
    """What must hold did not: the text says what."""


@contextmanager
def promised(what: str) -> Iterator[None]:
    """A failure within is that of the promise, and not of what leads up to it."""
    try:
        yield
    except AssertionError as error:
        raise BrokenPromiseError(what) from error


def hosts(*versions: str) -> pytest.MarkDecorator:
    """The hermes releases an incident is played on, where that is not the main one."""
    return pytest.mark.parametrize("stage", versions, indirect=True)


@dataclass(frozen=True)
class Stage:
    """One agent with an empty store, and its NAS."""

    agent: Agent
    nas: NasOverHttp
    ours: bool
    patience: float
    """Seconds after which what was promised is not waited for any longer."""

    @property
    def web(self) -> str:
        """The server for fires: the dashboard's of the latest wheel does not start."""
        version = self.agent.hermes.environment.version
        return "gateway" if version == VERSIONS[-1] else "serve"

    @contextmanager
    def session(self, before: str = "") -> Iterator[HermesSession]:
        """A hermes process with `jobs`, `provider`, `stop` and what `before` says."""
        with hermes_session(self.agent.hermes) as session:
            module = session.do(f"{before}\n{_PRELUDE}")
            assert module.startswith("chronos_plugin") == self.ours, module
            yield session

    def create(self, session: HermesSession, name: str, **options: Any) -> str:
        """Put a job that recurs hourly into the store, and tell nobody. Returns its id."""
        options = {"schedule": "every 1h", "in_seconds": None, "held_by": None, **options}
        script = self.agent.hermes.add_script(name, options["held_by"])
        job = session.do(_CREATE, name=name, schedule=options["schedule"], script=script)["id"]
        if options["in_seconds"] is not None:
            self.agent.make_due(job, options["in_seconds"])
        return str(job)

    def eventually(self, attempt: Callable[[], object], what: str, later: float = 0.0) -> None:
        """Wait for something that was promised; `later` is how many seconds it may well take."""
        eventually(attempt, what, self.patience + later)

    def is_armed(self, job: str) -> bool:
        """Whether NAS has a job at the time that the store says."""
        return self.agent.armed().get(job) == self.agent.due(job) is not None

    def await_armed(self, job: str) -> None:
        """Wait until NAS has a job at the time that the store says."""
        self.eventually(lambda: self.is_armed(job), f"job {job} armed")

    def writes(self) -> int:
        """How many provisions and cancels NAS was sent."""
        return sum(request.method == "POST" for request in self.nas.double.requests)

    def provisions(self, job: str) -> list[Seen]:
        """What NAS was sent to arm a job, and what it answered."""
        return self.agent.calls(PROVISION, job)

    def lists(self) -> int:
        """How often NAS was asked what is armed."""
        return sum(request.url.path.endswith("/list") for request in self.nas.double.requests)

    def deliver(self) -> list[int | None]:
        """Have NAS send what is due to the server that runs: what was answered."""
        with httpx.Client(timeout=PATIENCE_S, **PLAIN) as client:
            return [one.status for one in self.nas.double.deliver(client.send)]

    def deliver_to(self, session: HermesSession, code: str = "provider.fire_due(job)") -> list[str]:
        """Have NAS send what is due, and a session fire it: the ids of the jobs."""

        def fire(request: httpx.Request) -> httpx.Response:
            job = parse_job(request)
            session.do(code, job=job)
            return httpx.Response(202, json={"status": "accepted", "job_id": job})

        return [one.job_id for one in self.nas.double.deliver(fire)]

    def fire(self, server: HermesServer, job: str, **claims: object) -> int:
        """Send a fire for a job to a server, now: the status that it answers."""
        return self.answer(server, job, **claims).status_code

    def answer(self, server: HermesServer, job: str, **claims: object) -> httpx.Response:
        """Send a fire for a job to a server, now."""
        at = format_instant(parse_instant("2026-01-01T00:00:00Z"))
        return server.fire(self.nas.fire_token(self.agent.access, **claims), job, at)

    def chronos(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `chronos …` in the home of the agent."""
        hermes = self.agent.hermes
        module = ("-P", "-m", "chronos_plugin.cli")
        return run([hermes.environment.python, *module, *arguments], hermes.variables())

    def dashboard(self) -> AbstractContextManager[HermesServer]:
        """The dashboard's server, without our hook, to which NAS sends nothing."""
        hermes = self.agent.hermes
        extra = {**hermes.extra, "CHRONOS_HOOK": "0"}
        return replace(hermes, extra=extra).serving("serve")

    @contextmanager
    def serving(self, kind: str, *, alone: bool = False) -> Iterator[HermesServer]:
        """A server that ends like in a crash, which is quicker than to ask it."""
        with self.agent.serving(kind, alone=alone) as server:
            try:
                yield server
            finally:
                kill(server)


def parse_job(request: httpx.Request) -> str:
    """The job that a fire is for."""
    return str(httpx.Response(200, content=request.content).json()["job_id"])


def kill(server: HermesServer) -> None:
    """Kill a server and what it runs, if it lives."""
    if pid := server.process.pid:
        os.killpg(pid, signal.SIGKILL)
        eventually(lambda: not server.process.running, "the end of a killed server")


@contextmanager
def stage(
    environment: HermesEnvironment,
    directory: Path,
    *,
    ours: bool = True,
    patience: float = PATIENCE_S,
) -> Iterator[Stage]:
    """A new agent in `directory`, which does not exist, on a new NAS."""
    with nas_over_http() as nas, agent(nas, environment, directory) as made:
        extra = {"HERMES_PORTAL_BASE_URL": nas.front.url, **({} if ours else BUNDLED)}
        made = replace(made, hermes=replace(made.hermes, extra=extra))
        yield Stage(made, nas, ours, patience)
