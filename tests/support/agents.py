"""An agent of the reference NAS: real hermes with a home, reachable through a recorder."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from nas_sdk._core.instants import parse_instant
from tests.support.hermes_env import HermesEnvironment
from tests.support.hermes_host import Hermes, HermesServer, eventually
from tests.support.recorder import Recorder, Seen
from tools.demo.home import AgentHome, NasAccess

PROVISION = "/api/agent-cron/provision"
CANCEL = "/api/agent-cron/cancel"


class AnyNas(Protocol):
    """A NAS that agents reach over HTTP, and that tells tests what it has and has seen."""

    def add_agent(self, name: str) -> NasAccess:
        """Provision an agent."""

    def armed(self, agent: NasAccess) -> dict[str, int]:
        """The one-shots kept for an agent: job id to milliseconds since the epoch."""

    def calls(self, agent: NasAccess) -> list[Seen]:
        """What an agent sent, oldest first."""


@dataclass(frozen=True)
class Agent:
    """Real hermes, the NAS it belongs to, and what passes between them."""

    hermes: Hermes
    nas: AnyNas
    access: NasAccess
    callback: Recorder
    """NAS's way to the agent; forwards to the server that runs."""

    def profile(self, name: str) -> "Agent":
        """A profile of the same installation: another store, the same identity at NAS."""
        home = AgentHome(self.hermes.home.root, name)
        home.configure(self.access, self.callback.url)
        return replace(self, hermes=replace(self.hermes, home=home))

    @contextmanager
    def serving(
        self, kind: str, gateway: HermesServer | None = None, *, alone: bool = False
    ) -> Iterator[HermesServer]:
        """A server of this agent, to which NAS's fires go while it runs; see `Hermes.serving`."""
        with self.hermes.serving(kind, gateway, alone=alone) as server:
            self.callback.target = server.url
            try:
                yield server
            finally:
                self.callback.target = ""

    def armed(self) -> dict[str, int]:
        """What NAS keeps for this agent: job id to milliseconds since the epoch."""
        return self.nas.armed(self.access)

    def due(self, job_id: str) -> int | None:
        """What hermes's store says: when the job is due, in milliseconds since the epoch."""
        job = self.hermes.home.jobs().get(job_id)
        if job is None or not job["next_run_at"]:
            return None
        return parse_instant(job["next_run_at"])

    def calls(self, path: str, job_id: str) -> list[Seen]:
        """What the agent has asked of NAS about one job, oldest first."""
        calls = self.nas.calls(self.access)
        return [c for c in calls if c.path == path and c.json()["job_id"] == job_id]

    def fires(self, job_id: str) -> list[Seen]:
        """The fires NAS has sent for a job."""
        return self.callback.seen(lambda seen: seen.json()["job_id"] == job_id)

    def make_due(self, job_id: str, seconds: float) -> str:
        """Have the store say that a job is due in so many seconds. Returns that time.

        For jobs that recur, whose first time is a minute ahead. Nobody is told of it.
        """
        at = datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()
        self.write_job(job_id, next_run_at=at)
        return at

    def write_job(self, job_id: str, **record: object) -> None:
        """Change a job's record in the store as nobody is told of."""
        store = self.hermes.home.hermes / "cron" / "jobs.json"
        kept = json.loads(store.read_text())
        for job in kept["jobs"]:
            if job["id"] == job_id:
                job.update(record)
        store.write_text(json.dumps(kept))

    def rewrite(self, name: str, key: str, value: object) -> None:
        """Set a dotted key in config.yaml or auth.json, both of which are JSON here."""
        file = self.hermes.home.hermes / name
        document = json.loads(file.read_text())
        *path, last = key.split(".")
        section = document
        for part in path:
            section = section[part]
        section[last] = value
        file.write_text(json.dumps(document))

    def await_runs(self, name: str, count: int) -> None:
        """Wait until job `name` has run `count` times; more is a failure.

        AssertionError with what hermes's store and logs have when it has not.
        """
        try:
            eventually(lambda: self.hermes.runs(name) >= count, f"run {count} of {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.hermes.state()}") from None
        assert self.hermes.runs(name) == count


@contextmanager
def agent(
    nas: AnyNas, environment: HermesEnvironment, directory: Path, **cron: object
) -> Iterator[Agent]:
    """A new agent of `nas`; `cron` goes into that section of its config.yaml."""
    home = AgentHome(directory)
    home.hermes.mkdir(parents=True)
    access = nas.add_agent(directory.parent.name + directory.name)
    with Recorder() as callback:
        made = Agent(Hermes(environment, home), nas, access, callback)
        home.configure(access, callback.url, **cron)
        yield made
