"""What outlives one event: hermes builds a provider per call, but there is one `Process`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_sdk._version import __version__
from nas_sdk.agent import AgentConverger, Jobs
from nas_sdk.converger import HEAL_SECONDS
from nas_sdk.reconcile import due_ms
from nas_sdk.records import Records
from nas_sdk.system import System
from nas_sdk.times import with_offset

from .host import Host, Settings, log
from .host_base import HostBase
from .store import Job, Store, status_folder, store_seen, was_store_seen

if TYPE_CHECKING:
    from nas_sdk.client import NasClient

PROMPT: dict[str, Any] = {"timeout": 3.5, "deadline": 3.5}  # two steps of a converge may hang
LIVE_SECONDS = (("fire_claim", 300), ("run_claim", 1800))  # hermes's own limits for claims
RUN_SECONDS = 6 * 3600  # a run recorded as open for longer was not recorded as ended


class Keeper(AgentConverger):
    """Keeps the one-shots of one home. Safe to use from many threads."""

    log = log

    def __init__(self, process: Process, settings: Settings) -> None:
        """Start nothing; the first request does."""
        super().__init__(str(settings.home), settings.callback_url, process.system)
        self.on_given_up = lambda: process.fall_back(self.home)
        self.is_stopping = lambda: bool(process.stop_event.is_set())
        self.home, self._settings = settings.home, settings
        self._process, self._host = process, process.host
        self._nas: NasClient | None = None
        self.records = Records(status_folder(self.home))

    def client(self) -> NasClient:
        """One client for the process; impatient at a prompt."""
        from nas_sdk.auth import RenewingSource
        from nas_sdk.client import NasClient

        with self.turn:
            self._nas = self._nas or NasClient(
                self._settings.portal_url or "unset",
                RenewingSource(lambda new: self._host.access_token(self.home, new), self.system),
                user_agent="chronos",
                allow_http=self._settings.allow_http,
                clock=self.system,
                **self._process.client_options,
            )
        return self._nas.with_options(**({} if self._process.serving else PROMPT))

    def on_serving(self) -> None:
        """Note it for `chronos status`; once, however often it is called."""
        self.records.serve(str(Path(__file__).parent), __version__, self.system.time())

    def on_fire(self, job_id: str, due: float, now: float) -> None:
        """Note it for `chronos status`."""
        self.records.fired(job_id, due, now)

    def jobs(self) -> Jobs:
        """The jobs of the home, as far as its store can be read."""
        store = self._host.store(self.home)
        if store.jobs:
            store_seen(self.home)
        named = frozenset(job["id"] for job in store.jobs)
        is_new = store.is_missing and not was_store_seen(self.home)
        times, timeless = self._times(store), self._timeless(store)
        return Jobs(times, named, timeless, problem=store.problem, is_new=is_new)

    def others(self) -> Collection[str]:
        """The jobs of the other profiles of this installation. Raises where they are unknown."""
        return {job_id for home in self._host.homes() for job_id in self._wanted_by(home)}

    def _wanted_by(self, home: Path) -> Mapping[str, str]:
        if home == self.home:
            return {}
        store = self._host.store(home)
        if store.problem and not (store.is_missing and not was_store_seen(home)):
            raise StoreError(store.problem)
        return self._times(store)

    def _times(self, store: Store) -> dict[str, str]:
        return {job["id"]: at for job in store.jobs if (at := self.fire_at(job))}

    def _timeless(self, store: Store) -> frozenset[str]:
        wanted = (job for job in store.jobs if not job.get("next_run_at"))
        return frozenset(job["id"] for job in wanted if self._host.is_runnable(job))

    def fire_at(self, job: Job) -> str | None:
        """When a job is to fire, as text for NAS; None for one that is not to fire."""
        at = job.get("next_run_at")
        return with_offset(str(at)) if at and self._host.is_runnable(job) else None

    def taken(self, job_ids: Collection[str]) -> Collection[str]:
        """Jobs that were claimed just now, or that a live process runs."""
        now = self.system.time()
        jobs = [job for job in self._host.store(self.home).jobs if job["id"] in job_ids]
        claimed = {job["id"] for job in jobs if _is_claimed(job, now)}
        rest = [job["id"] for job in jobs if job["id"] not in claimed]
        return claimed | self._host.running(rest, self.home, now - RUN_SECONDS) if rest else claimed


class StoreError(RuntimeError):
    """Another profile's job store cannot be read."""


def _is_claimed(job: Job, now: float) -> bool:
    claims = [(dict(job).get(name), live) for name, live in LIVE_SECONDS]
    told = [(claim.get("at"), live) for claim, live in claims if isinstance(claim, dict)]
    times = [(due_ms(str(at)), live) for at, live in told]
    return any(at is not None and 0 <= now - at / 1000 < live for at, live in times)


class Process:
    """The keepers of this process, one per home and NAS, and how hermes runs here."""

    def __init__(
        self, host: Host | None = None, system: System | None = None, **client_options: Any
    ) -> None:
        """With the three seams: hermes, time and threads, and the options of `NasClient`."""
        self.host, self.system = host or Host(), system or System()
        self.client_options = client_options
        self.serving = False  # a server, which lives on, and not a command at a prompt
        self.ticking = False  # hermes's built-in ticker has taken over
        self.stop_event: Any = threading.Event()
        self._ticker: tuple[Path, Mapping[str, Any]] | None = None
        self.keepers: dict[tuple[Path, str, bool], Keeper] = {}
        self._lock = threading.Lock()

    def keeper(self, settings: Settings | None = None) -> Keeper:
        """The keeper of a home, by default of the one the calling thread works on."""
        settings = settings or self.host.settings()
        key = settings.home, settings.portal_url, settings.allow_http
        with self._lock:
            keeper = self.keepers[key] = self.keepers.get(key) or Keeper(self, settings)
        keeper.callback_url, keeper.watchdog = settings.callback_url, settings.watchdog
        if self.serving:
            keeper.follow(keeper.home / "cron" / "jobs.json", self.stop_event)
        return keeper

    def serve(self, stop_event: Any, ticker_options: Mapping[str, Any]) -> None:
        """Note that hermes runs its scheduler in this process, and how."""
        self.serving, self.stop_event = True, stop_event
        self._ticker = self.host.home(), ticker_options

    def fall_back(self, home: Path) -> None:
        """Have hermes's built-in ticker fire a home's jobs, if its scheduler runs here."""
        with self._lock:
            if self.ticking or self._ticker is None or self._ticker[0] != home:
                return
            self.ticking, options = True, self._ticker[1]
        log.warning("hermes's built-in ticker fires the jobs until hermes is started again")
        ticker = self.host.schedulers().InProcessCronScheduler
        start = partial(HostBase(ticker).call, "start", ticker(), self.stop_event, **options)
        self.system.spawn(start, "chronos-ticker")

    def heal(self) -> None:
        """Converge every home of this installation soon. Returns at once."""
        self.serving = True
        self.system.spawn(self._heal, "chronos-heal")

    def _heal(self) -> None:
        for home in self.host.homes():
            try:
                if (settings := self.host.settings(home)).active:
                    keeper = self.keeper(settings)
                    keeper.woken = True
                    keeper.request(HEAL_SECONDS)
            except Exception as error:
                log.warning("the jobs of %s cannot be armed: %s", home, error)


PROCESS = Process()
