"""A hermes of a few lines behind the plugin's one seam: a store, claims and runs in memory."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from chronos_plugin.host import ChronosConfig, Host
from chronos_plugin.store import Job, Store
from nas_sdk.reconcile import Runtime

HOME = Path("/agent/home")
CALLBACK = "https://agent.example.com"
CLAIM_SECONDS = 300


class FakeHermes(Host):
    """The rules of hermes's job store, without hermes.

    `on_run` is called for every run with the job's id; it may sleep, or raise as a process
    dies. `runs` are the job ids that ran to their end.
    """

    def __init__(self, runtime: Runtime, *, two_phases: bool = False) -> None:
        self._runtime = runtime
        self.stores: dict[Path, dict[str, dict[str, Any]]] = {HOME: {}}
        self.broken: dict[Path, Store] = {}
        """What is read of a home in place of its store."""
        self.deleted: set[Path] = set()
        self.made_again: set[Path] = set()
        """Those of the deleted homes that hermes was then had to write to."""
        self.at = HOME
        self.config: dict[str, Any] = {}
        self.logged_in = True
        self.paused = False
        self.told_sidelined = ""
        self.problems: dict[Path, str] = {}
        self.token = "agent-token"
        self.renewed = ""
        self.token_calls = self.renewals = 0
        self.token_homes: set[Path] = set()
        self.runs: list[str] = []
        self.alive: set[str] = set()
        self.asked_since: list[float] = []
        self.tickers: list[Mapping[str, Any]] = []
        self.recovered = 0
        self.on_run: Callable[[str], object] = lambda job_id: None
        self.on_change: Callable[[Path], object] = lambda home: None
        self.base = _two_phase_base(self) if two_phases else _one_phase_base(self)

    def schedulers(self) -> Any:
        tickers = self.tickers

        class InProcessCronScheduler:
            def start(self, stop_event: Any, **options: Any) -> None:
                tickers.append({"stop_event": stop_event, **options})

        return SimpleNamespace(
            CronScheduler=self.base, InProcessCronScheduler=InProcessCronScheduler
        )

    def home(self) -> Path:
        return self.at

    @contextlib.contextmanager
    def working_on(self, home: Path) -> Iterator[None]:
        yield  # the clock of a world runs one thread at a time: tests say themselves where they are

    def can_switch(self) -> bool:
        return True

    def sidelined(self, home: Path | None = None) -> str:
        return self.told_sidelined

    def homes(self) -> list[Path]:
        return list(self.stores)

    def is_deleted(self, home: Path) -> bool:
        return home in self.deleted

    def settings(self, home: Path | None = None) -> ChronosConfig:
        if (home or self.at) in self.deleted:
            raise FileNotFoundError("Named profile home does not exist")
        usual = ChronosConfig(
            home or self.at,
            active=True,
            portal_url="https://nas.test",
            callback_url=CALLBACK,
            jwks_url="https://nas.test/.well-known/jwks.json",
            audience="agent:agent",
            allow_http=False,
            watchdog=False,
        )
        return usual._replace(**self.config)

    def is_logged_in(self) -> bool:
        return self.logged_in

    def access_token(self, home: Path, renew: bool) -> str:
        self.made_again |= {home} & self.deleted
        self.token_calls += 1
        self.token_homes.add(home)
        if renew:
            self.renewals += 1
            self.token = self.renewed or self.token
        return self.token

    def store(self, home: Path) -> Store:
        if home in self.broken:
            return self.broken[home]
        return Store(tuple(cast("Job", dict(job)) for job in self.stores[home].values()))

    def is_runnable(self, job: Mapping[str, Any]) -> bool:
        return job.get("enabled", True) and job.get("state") not in ("paused", "completed")

    def is_paused(self) -> bool:
        return self.paused

    def problem(self, home: Path) -> str:
        return self.problems.get(home, "")

    def keep_problem(self, home: Path, problem: str) -> None:
        self.made_again |= {home} & self.deleted
        self.problems[home] = problem

    def running(self, job_ids: list[str], home: Path, since: float) -> set[str]:
        self.asked_since.append(since)
        return self.alive & set(job_ids)

    # What people do.

    def add(self, job_id: str, in_seconds: float, *, every: float = 0, **more: Any) -> None:
        """A job that fires in `in_seconds`, and then `every` so many; 0 is a one-shot."""
        home = more.pop("home", self.at)
        at = self.iso(self._runtime.time() + in_seconds)
        job = {"id": job_id, "enabled": True, "state": "scheduled", "next_run_at": at}
        self.stores[home][job_id] = {**job, "every": every, "fire_claim": None, **more}
        self.on_change(home)

    def change(self, job_id: str, **what: Any) -> None:
        self.stores[self.at][job_id].update(what)
        self.on_change(self.at)

    def remove(self, job_id: str) -> None:
        del self.stores[self.at][job_id]
        self.on_change(self.at)

    def delete(self, home: Path) -> None:
        """Remove a profile, as `hermes profile delete` does."""
        del self.stores[home]
        self.broken[home] = Store(problem="jobs.json is not there", is_missing=True)
        self.deleted.add(home)
        self.on_change(home)

    def next_run(self, job_id: str) -> str:
        return str(self.stores[self.at][job_id]["next_run_at"])

    # What the store does.

    def claim(self, job_id: str) -> dict[str, Any] | None:
        job = self.stores[self.at].get(job_id)
        if job is None or not self.is_runnable(job) or self._is_claimed(job):
            return None
        now = self._runtime.time()
        job["fire_claim"] = {"at": self.iso(now)}
        if job["every"]:
            job["next_run_at"] = self.iso(now + job["every"])
        self.on_change(self.at)
        return dict(job)

    def _is_claimed(self, job: Mapping[str, Any]) -> bool:
        claim = job["fire_claim"]
        if claim is None:
            return False
        age = self._runtime.time() - datetime.fromisoformat(claim["at"]).timestamp()
        return 0 <= age < CLAIM_SECONDS

    def run(self, job_id: str) -> bool:
        self.on_run(job_id)
        self.runs.append(job_id)
        job = self.stores[self.at].get(job_id)
        if job is None:
            return True
        job["fire_claim"] = None
        if job["every"]:
            job["next_run_at"] = self.iso(self._runtime.time() + job["every"])
        else:
            del self.stores[self.at][job_id]
        self.on_change(self.at)
        return True

    @staticmethod
    def iso(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat()


def _one_phase_base(hermes: FakeHermes) -> type:
    class CronScheduler:
        def recover_interrupted(self) -> int:
            hermes.recovered += 1
            return 0

        def fire_due(self, job_id: str, *, adapters: Any = None, loop: Any = None) -> bool:
            if hermes.claim(job_id) is None:
                return False
            return hermes.run(job_id)

    return CronScheduler


def _two_phase_base(hermes: FakeHermes) -> type:
    class CronScheduler:
        def fire_due(self, job_id: str, **options: Any) -> bool:
            claimed = self.claim_fire(job_id, **options)
            return claimed is not None and self.fire_claimed(claimed)

        def claim_fire(self, job_id: str, *, force: bool = False, manual: bool = False) -> Any:
            return hermes.claim(job_id)

        def fire_claimed(self, claimed_job: Any, **options: Any) -> bool:
            return hermes.run(claimed_job["id"])

    return CronScheduler
