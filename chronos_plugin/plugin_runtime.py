"""What outlives one event: hermes builds a provider per call, but there is one `PluginRuntime`."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_sdk._core.instants import with_offset
from nas_sdk._typing import override
from nas_sdk._version import __version__
from nas_sdk.reconcile import AgentReconciler, Runtime
from nas_sdk.reconcile.desired import Jobs

from .host import ChronosConfig, Host, log
from .store import Job

if TYPE_CHECKING:
    from nas_sdk.client import NasClient

    from .serving_status import ServingStatus

PROMPT: dict[str, Any] = {"timeout": 3.5, "deadline": 3.5}  # two steps of a reconcile may hang


class HomeReconciler(AgentReconciler):
    """Keeps the one-shots of one home. Safe to use from many threads."""

    log = log

    def __init__(self, process: PluginRuntime, settings: ChronosConfig) -> None:
        """Start nothing; the first request does."""
        super().__init__(
            str(settings.home),
            settings.callback_url,
            process.runtime,
            on_fatal_error=lambda: process.fall_back(settings.home),
            is_stopping=lambda: process.stop_event.is_set(),
        )
        self._lock = threading.Lock()
        self.home, self.settings = settings.home, settings
        self.gone_since: float | None = None
        self._process, self._host = process, process.host
        self._nas: NasClient | None = None
        self._serving_status: ServingStatus | None = None

    def adopt(self, settings: ChronosConfig) -> None:
        """Take over what may change while a process lives."""
        self.settings = settings
        self.callback_url, self.watchdog = settings.callback_url, settings.watchdog
        self.spare_watchdog = self._host.answers_first()

    @override
    def client(self) -> NasClient:
        """One client for the process; impatient at a prompt. Raises NasError if none is to be."""
        from .client import new_client, refresh

        refresh(self, self._process)
        with self._lock:
            self._nas = self._nas or new_client(self._process, self.settings)
        return self._nas.with_options(**({} if self._process.serving else PROMPT))

    @property
    def serving_status(self) -> ServingStatus:
        """What is on disk of the processes that serve the home, and of its fires."""
        from .serving_status import ServingStatus
        from .store_marks import status_folder

        with self._lock:  # one object: a process says once that it serves
            self._serving_status = self._serving_status or ServingStatus(status_folder(self.home))
        return self._serving_status

    @override
    def on_serving(self) -> None:
        """Note it for `chronos status`; once, however often it is called."""
        self.serving_status.serve(str(Path(__file__).parent), __version__, self.runtime.time())

    @override
    def on_status(self) -> None:
        """Have hermes's own commands know what is not armed, and why; or that all is."""
        if self._process.ticker_ends:
            from . import ticker

            ticker.end(self._process, self)
        taken_over = self._process.reconcilers.get(self.home, self) is not self
        if not (taken_over or self._host.is_deleted(self.home)):  # hermes would make it again
            from .prompt import problem

            self._host.keep_problem(self.home, problem(self))

    @override
    def on_fire(self, job_id: str, due: float, now: float) -> None:
        """Note it for `chronos status`."""
        self.serving_status.fired(job_id, due, now)

    @override
    def jobs(self) -> Jobs:
        """The jobs of the home, as far as its store can be read."""
        from .store_marks import store_seen, was_store_seen

        if self._host.is_deleted(self.home):
            return Jobs({}, frozenset(self.tried))
        store = self._host.store(self.home)
        if store.jobs:
            store_seen(self.home)
        named = frozenset(job["id"] for job in store.jobs)
        is_new = store.is_missing and not was_store_seen(self.home)
        if not store.problem and self._host.sidelined(self.home):
            return Jobs({}, named)
        times, timeless = self._times(store.jobs), self._timeless(store.jobs)
        return Jobs(times, named, timeless, problem=store.problem, is_new=is_new)

    def store_changed(self) -> None:
        """Note that there is a store: hermes has just saved it. One that is missing is lost."""
        from .store_marks import store_seen

        self.woken = True
        store_seen(self.home)

    @override
    def other_profiles_jobs(self) -> Collection[str]:
        """The jobs of the other profiles of this installation. Raises where they are unknown."""
        if not (others := [home for home in self._host.homes() if home != self.home]):
            return ()
        from .profiles import stored

        jobs = (job for home in others for job in stored(self._host, home))
        return {job["id"] for job in jobs if self._host.is_runnable(job)}

    @override
    def on_empty(self) -> None:
        """Have other profiles take it, too, that this one has no jobs any more."""
        from .store_marks import store_believed_empty

        store_believed_empty(self.home)

    def _times(self, jobs: Iterable[Job]) -> dict[str, str]:
        return {job["id"]: at for job in jobs if (at := self.fire_at(job))}

    def _timeless(self, jobs: Iterable[Job]) -> frozenset[str]:
        wanted = (job for job in jobs if not job.get("next_run_at"))
        return frozenset(job["id"] for job in wanted if self._host.is_runnable(job))

    def fire_at(self, job: Job) -> str | None:
        """When a job is to fire, as text for NAS; None for one that is not to fire."""
        at = job.get("next_run_at")
        return with_offset(str(at)) if at and self._host.is_runnable(job) else None

    @override
    def claimed_elsewhere(self, job_ids: Collection[str]) -> Collection[str]:
        """Jobs that were claimed just now, or that a live process runs."""
        from .claims import in_progress

        return in_progress(self._host, self.home, job_ids, self.runtime.time())


class PluginRuntime:
    """The reconcilers of this process, one per home, and how hermes runs here."""

    def __init__(
        self, host: Host | None = None, runtime: Runtime | None = None, **client_options: Any
    ) -> None:
        """With the three seams: hermes, time and threads, and the options of `NasClient`."""
        self.host, self.runtime = host or Host(), runtime or Runtime()
        self.client_options = client_options
        self.serving = False  # a server, which lives on, and not a command at a prompt
        self.ticker_ends: threading.Event | None = None  # hermes's built-in one fires the jobs
        self.stop_event, self.lock = threading.Event(), threading.Lock()
        self.ticker: tuple[Path, Mapping[str, object]] | None = None
        self.reconcilers: dict[Path, HomeReconciler] = {}

    def reconciler(self, settings: ChronosConfig | None = None) -> HomeReconciler:
        """The reconciler of a home, by default of the one the calling thread works on.

        One for another NAS takes the place of that for the last one, which ends.
        """
        settings = settings or self.host.settings()
        with self.lock:
            reconciler = self.reconcilers.get(settings.home)
            if reconciler is None or reconciler.settings.nas != settings.nas:
                if reconciler:
                    reconciler.stop()
                reconciler = self.reconcilers[settings.home] = HomeReconciler(self, settings)
            reconciler.adopt(settings)
        if self.serving and not self.host.is_deleted(reconciler.home):
            reconciler.follow(reconciler.home / "cron" / "jobs.json", self.stop_event)
        return reconciler

    def serve(self, stop_event: threading.Event, ticker_options: Mapping[str, object]) -> None:
        """Note that hermes runs its scheduler in this process, and how."""
        self.serving, self.stop_event = True, stop_event
        self.ticker = self.host.home(), ticker_options

    def fall_back(self, home: Path) -> None:
        """Have hermes's built-in ticker fire a home's jobs, if its scheduler runs here."""
        from . import ticker

        ticker.begin(self, home)

    def request_reconcile(self, *, woken: bool = True) -> None:
        """Reconcile every home of this installation soon, after a fire unless not `woken`.

        Returns at once. A home that was fired and has no store has lost it.
        """
        self.serving = True
        self.runtime.spawn(partial(self._request_all, woken=woken), "chronos-reconcile")

    def withdraw(self) -> None:
        """Have what is armed for any home cancelled, as no job is to fire. Returns at once."""
        self.runtime.spawn(self._request_all, "chronos-withdraw")

    def _request_all(self, woken: bool = False) -> None:
        for home in self.host.homes():
            try:
                if (settings := self.host.settings(home)).active:
                    reconciler = self.reconciler(settings)
                    reconciler.woken = woken or reconciler.woken
                    request = reconciler.try_again if woken else reconciler.request
                    request(reconciler.policy.delay if woken else 0.0)
            except Exception as error:
                log.warning("the jobs of %s cannot be armed: %s", home, error)


PLUGIN = PluginRuntime()
