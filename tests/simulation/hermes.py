"""Hermes in one process: it claims, runs and marks jobs, one step of I/O after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from chronos_plugin import store
from chronos_plugin.host import ChronosConfig, Host

from .nas import URL
from .store import CLAIM_SECONDS, Job, Store

if TYPE_CHECKING:
    from .process import OsProcess

CALLBACK = "https://agent.test"


def claim(process: OsProcess, job_id: str) -> Job | None:
    """Claim a job's fire, and record that it is about to run; later hosts record it first."""
    if process.world.machine.shape.two_phases:
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
    claimed = process.store().claim(job_id)
    if claimed is not None:
        world = process.world
        claimed |= {"clock": world.machine.clock(), "moment": world.engine.now}
    return claimed


def record(process: OsProcess, job_id: str) -> None:
    """Record who is about to run a job, where the host does that."""
    if process.world.machine.shape.executions:
        process.store().execute(job_id, process)


def run(process: OsProcess, claimed: Job, *, by_hand: bool = False) -> bool:
    """Run a claimed job to its end."""
    world, job_id, home = process.world, str(claimed["id"]), process.current_home()
    if not process.store().dispatch(job_id):
        process.store().finish(job_id, process)
        return True
    process.step()
    seconds = world.draw_run_seconds()
    if by_hand and not world.machine.shape.executions:
        # Without records nobody can tell that such a run outlasts its claim.
        seconds = min(seconds, CLAIM_SECONDS * 0.9)
    world.ledger.begin(process, home, claimed, seconds, by_hand=by_hand)
    world.engine.rest(seconds)
    process.store().mark(job_id)
    world.ledger.end(home, claimed)
    process.store().finish(job_id, process)
    world.story.tell(process.name, "run of {} is over", job_id)
    return True


def one_phase_base(process: OsProcess) -> type:
    """The host's base class of hermes 0.18 and 0.19."""

    class CronScheduler:
        def recover_interrupted(self) -> int:
            process.step()
            return 0

        def fire_due(self, job_id: str, **options: Any) -> bool:
            claimed = claim(process, job_id)
            return claimed is not None and run(process, claimed)

    return CronScheduler


def two_phase_base(process: OsProcess) -> type:
    """That of later ones."""

    class CronScheduler:
        def recover_interrupted(self) -> int:
            process.step()
            return 0

        def register_job(self, job: Job) -> None:
            return None

        def claim_fire(self, job_id: str, *, force: bool = False, manual: bool = False) -> Any:
            return claim(process, job_id)

        def fire_claimed(self, claimed_job: Any, **options: Any) -> bool:
            return run(process, claimed_job)

    return CronScheduler


class SimulatedHost(Host):
    """The plugin's seam for hermes, in one process of the simulated machine."""

    def __init__(self, process: OsProcess) -> None:
        self._process = process
        self._machine = process.world.machine
        base = two_phase_base if self._machine.shape.two_phases else one_phase_base
        self.base = base(process)

    def schedulers(self) -> Any:
        return SimpleNamespace(CronScheduler=self.base)

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

    def is_logged_in(self) -> bool:
        return True

    def access_token(self, home: Path, renew: bool) -> str:
        # No step of its own: the SDK asks under a real lock, which knows nothing of turns.
        return self._process.world.nas.log_in()

    def store(self, home: Path) -> store.Store:
        self._process.step()
        records = self._machine.stores[home].records.values()
        return store.Store(tuple(cast("store.Job", dict(job)) for job in records))

    def is_runnable(self, job: Mapping[str, Any]) -> bool:
        return Store.is_runnable(job)

    def running(self, job_ids: list[str], home: Path, since: float) -> set[str]:
        if not self._machine.shape.executions:
            return set()
        self._process.step()
        executions = self._machine.stores[home].executions
        found = {job_id: executions[job_id] for job_id in job_ids if job_id in executions}
        return {
            job_id
            for job_id, execution in found.items()
            if execution["open"] and execution["owner"].alive and execution["at"] > since
        }
