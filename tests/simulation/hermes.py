"""Hermes in one process: it claims, runs and marks jobs, one step of I/O after the other."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from chronos_plugin import store
from chronos_plugin.host import ChronosConfig, Host
from nas_sdk.protocol.one_shot import due_ms

from .nas import URL
from .store import CLAIM_SECONDS, Job, Store

if TYPE_CHECKING:
    from .process import OsProcess

CALLBACK = "https://agent.test"
TICK_SECONDS = 60.0


def claim(process: OsProcess, job_id: str) -> Job | None:
    """Claim a job's fire, and record that it is about to run; later hosts record it first."""
    if process.world.machine.shape.host.two_phases:
        record(process, job_id)
        claimed = claim_alone(process, job_id)
        if claimed is None:
            process.store().finish(job_id, process)
    else:
        claimed = claim_alone(process, job_id)
        if claimed is not None:
            record(process, job_id)
    return claimed


def claim_alone(process: OsProcess, job_id: str) -> Job | None:
    """The claim itself asks whether the job may run, not whether it is due."""
    world, store = process.world, process.store()
    if world.chaos.fault("claim", world.engine.now):
        world.machine.mishaps.refuse_claims(store, job_id)
    occurrence = store.home, job_id, str(store.jobs.get(job_id, {}).get("next_run_at"))
    world.ledger.claims[occurrence] += 1
    claimed = store.claim(job_id)
    if claimed is not None:
        claimed |= {"clock": world.machine.clock(), "moment": world.engine.now}
    return claimed


def record(process: OsProcess, job_id: str) -> None:
    """Record who is about to run a job, where the host does that."""
    if process.world.machine.shape.host.executions:
        process.store().execute(job_id, process)


def run(process: OsProcess, claimed: Job, *, by_hand: bool = False) -> bool:
    """Run a claimed job to its end."""
    world, job_id, home = process.world, str(claimed["id"]), process.current_home()
    if not process.store().dispatch(job_id):
        process.store().finish(job_id, process)
        return True
    process.step()
    seconds = world.draw_run_seconds()
    if by_hand and not world.machine.shape.host.executions:
        # Without records nobody can tell that such a run outlasts its claim.
        seconds = min(seconds, CLAIM_SECONDS * 0.9)
    world.ledger.begin(process, home, claimed, seconds, by_hand=by_hand)
    world.engine.rest(seconds)
    failed = world.draw_failure()
    if process.store().mark(job_id, failed=failed):
        world.ledger.end(home, claimed)
    else:
        world.ledger.forget(home, claimed)
    process.store().finish(job_id, process)
    world.story.tell(process.name, "run of {} is over", job_id)
    return True


def tick(process: OsProcess) -> None:
    """The built-in ticker runs what is due and not in progress, whose claims are kept alive."""
    machine, engine = process.world.machine, process.world.engine
    if machine.mishaps.is_paused:
        return
    for job_id, job in dict(process.store().records).items():
        name, at = f"fire of {job_id}", job["next_run_at"]
        is_due = Store.is_runnable(job) and at and due_ms(at) / 1000 <= machine.clock()
        if is_due and not any(engine.has_thread(each, name) for each in machine.processes):
            claimed = claim(process, job_id)
            if claimed is not None:
                go = functools.partial(run, process, {**claimed, "by_hand": False})
                process.background(go, name)


def base_class(process: OsProcess) -> type:
    """The host's base class, with the hooks and the keywords of its generation."""
    host = process.world.machine.shape.host
    first = _Recovering if host.recovers else _OnePhase
    bases = {(): first, ("force",): _Forcing, ("force", "manual"): _Manual}
    kind = _RollingBack if host.rolls_back else bases[host.keywords]
    return type("CronScheduler", (kind,), {"os_process": process})


class _OnePhase:
    """0.18."""

    os_process: OsProcess

    def fire_due(self, job_id: str, *, adapters: Any = None, loop: Any = None) -> bool:
        claimed = claim(self.os_process, job_id)
        return claimed is not None and run(self.os_process, claimed)


class _Recovering(_OnePhase):
    """0.19."""

    def recover_interrupted(self) -> int:
        self.os_process.step()
        return 0


class _TwoPhase(_Recovering):
    def register_job(self, job: Job) -> None:
        return None

    def fire_claimed(
        self, claimed_job: Job, *, adapters: Any = None, loop: Any = None, cancel_event: Any = None
    ) -> bool:
        return run(self.os_process, claimed_job, by_hand=claimed_job["by_hand"])

    def _claim(self, job_id: str, by_hand: bool) -> Job | None:
        claimed = claim(self.os_process, job_id)
        return claimed and {**claimed, "by_hand": by_hand}


class _Forcing(_TwoPhase):
    """0.20.4 to 0.21.0."""

    def claim_fire(self, job_id: str, *, force: bool = False) -> Any:
        return self._claim(job_id, force)


class _Manual(_TwoPhase):
    """0.21.3 and later."""

    def claim_fire(self, job_id: str, *, force: bool = False, manual: bool = False) -> Any:
        return self._claim(job_id, force or manual)


class _RollingBack(_Manual):
    """Later upstream."""

    def rearm_aborted_claim(self, claimed_job: Job) -> None:
        return None


class SimulatedHost(Host):
    """The plugin's seam for hermes, in one process of the simulated machine."""

    def __init__(self, process: OsProcess) -> None:
        self._process = process
        self._machine = process.world.machine
        self.base = base_class(process)

    def schedulers(self) -> Any:
        process = self._process

        class InProcessCronScheduler:
            def start(self, stop_event: Any, *, adapters: Any = None, loop: Any = None) -> None:
                while not stop_event.is_set():
                    tick(process)
                    process.world.engine.rest(TICK_SECONDS)

        return SimpleNamespace(
            CronScheduler=self.base, InProcessCronScheduler=InProcessCronScheduler
        )

    def home(self) -> Path:
        return self._process.current_home()

    def homes(self) -> list[Path]:
        self._process.step()
        return [home for home in self._machine.homes if self._machine.saves[home]]

    def settings(self, home: Path | None = None) -> ChronosConfig:
        given: dict[str, Any] = {
            "home": home or self.home(),
            "active": True,
            "portal_url": URL,
            "callback_url": CALLBACK,
            "allow_http": False,
            "watchdog": not self._machine.shape.always_on,
        }
        return ChronosConfig(**{name: given.get(name, "") for name in ChronosConfig._fields})

    @contextlib.contextmanager
    def working_on(self, home: Path) -> Iterator[None]:
        yield  # a simulated server is of one home

    def can_switch(self) -> bool:
        return False

    def sidelined(self, home: Path | None = None) -> str:
        return ""

    def problem(self, home: Path) -> str:
        return ""

    def keep_problem(self, home: Path, problem: str) -> None:
        pass

    def is_paused(self) -> bool:
        return self._machine.mishaps.is_paused

    def is_logged_in(self) -> bool:
        return True

    def access_token(self, home: Path, renew: bool) -> str:
        # No step of its own: the SDK asks under a real lock, which knows nothing of turns.
        return self._process.world.nas.log_in()

    def store(self, home: Path) -> store.Store:
        self._process.step()
        there, world = self._machine.stores[home], self._process.world
        fault = world.chaos.fault("read", world.engine.now)
        if fault:
            self._machine.mishaps.lose(there, fault)
        self._process.read_at[home] = world.engine.now
        if there.lost == "gone":
            return store.Store(problem="the store is not there", is_missing=True)
        jobs = tuple(cast("store.Job", dict(job)) for job in there.records.values())
        return store.Store(jobs, "a record cannot be read" if there.unreadable else "")

    def is_runnable(self, job: Mapping[str, Any]) -> bool:
        return Store.is_runnable(job)

    def running(self, job_ids: list[str], home: Path, since: float) -> set[str]:
        if not self._machine.shape.host.executions:
            return set()
        self._process.step()
        executions = self._machine.stores[home].executions
        found = {job_id: executions[job_id] for job_id in job_ids if job_id in executions}
        return {
            job_id
            for job_id, execution in found.items()
            if execution["open"] and execution["owner"].alive and execution["at"] > since
        }
