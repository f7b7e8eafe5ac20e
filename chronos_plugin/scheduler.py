"""The provider: what hermes calls, in one step or two; its base class shows which."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nas_sdk._version import __version__
from nas_sdk.reconcile.fire_gate import EARLY_SECONDS

from .host import log
from .host_base import HostBase
from .plugin_runtime import PLUGIN, PluginRuntime
from .store import Job
from .verify import keys

if TYPE_CHECKING:
    import threading

    from .hermes_types import Provider

T = TypeVar("T")
HOLD_BEFORE_ANSWER_SECONDS = 15.0  # NAS waits 30 s for an answer
CLAIM_SECONDS = 35.0  # a job that was claimed and is not running is then armed again
PROMPT_SECONDS, REARM_SECONDS, START_SECONDS = 8.0, 20.0, 60.0


class NotArmedError(RuntimeError):
    """A job was saved, but NAS does not know yet when to wake the agent for it."""


class PausedError(RuntimeError):
    """A fire that is not taken while hermes is paused; hermes has NAS send it again."""


def _in_its_home(hook: Callable[..., T]) -> Callable[..., T]:
    """Have a hook for a job, or its id, work on the home of that: one process serves them all."""

    @functools.wraps(hook)
    def in_its_home(self: _Provider, job: Job | str, **options: object) -> T:
        from .profiles import home_of

        job_id = job if isinstance(job, str) else str(job["id"])
        host = self.process.host
        with host.working_on(home_of(host, job_id)):
            return hook(self, job, **options)

    return in_its_home


class _Provider:
    """What is the same on every host. Each hook takes any keyword, as hosts add some."""

    host: HostBase
    process: PluginRuntime
    name = "chronos"

    def is_available(self, **options: object) -> bool:
        """Whether the configuration and a stored login are there. Asks nobody."""
        settings = self.process.host.settings()
        if (unusable := settings.unusable()) and settings.active:
            log.warning("not set or not usable: cron.chronos.%s", ", ".join(unusable))
        if "cron" in sys.argv:
            from .prompt import show_problem

            show_problem(self.process.host, settings.home)
        if settings.active and (sidelined := self.process.host.sidelined()):
            from .prompt import withdraw

            withdraw(self.process, sidelined)
            return False
        return not unusable and self.process.host.is_logged_in()

    def start(self, stop_event: threading.Event, **options: object) -> None:
        """Reconcile and return. `options` are for the built-in ticker, should it take over."""
        self.process.serve(stop_event, options)
        self.host.call("recover_interrupted", self)
        settings = self.process.host.settings()
        self.reconcile()
        self.process.runtime.spawn(lambda: keys(settings.jwks_url, settings.allow_http), "nas-keys")
        if self.process.reconciler().status.fatal_error:
            self.process.fall_back(settings.home)

    def reconcile(self, **options: object) -> None:
        """Reconcile now."""
        reconciler = self.process.reconciler()
        reconciler.wait(reconciler.request(), START_SECONDS)

    def on_jobs_changed(self, **options: object) -> None:
        """Reconcile: in the background of a server, and at a prompt before it returns."""
        reconciler = self.process.reconciler()
        reconciler.store_changed()
        ticket = reconciler.request()
        if self.process.serving or (
            reconciler.wait(ticket, PROMPT_SECONDS) and not reconciler.status.failed_jobs
        ):
            return
        reconciler.on_status()  # this process may end before the reconcile does
        from .prompt import show_not_armed

        show_not_armed(reconciler)

    def register_job(self, job: Job, **options: object) -> None:
        """Reconcile for a job just made. Raises NotArmedError when it is not armed in time."""
        reconciler = self.process.reconciler()
        reconciler.store_changed()
        armed = (
            reconciler.wait(reconciler.request(), PROMPT_SECONDS)
            and job["id"] not in reconciler.status.failed_jobs
        )
        if not armed and not (reconciler.status.fatal_error and self.process.ticker_ends):
            from .prompt import not_armed

            log.warning("%s", message := not_armed(reconciler, job["id"]))
            reconciler.on_status()
            raise NotArmedError(message)

    def _arm_one_shot(self, job: Job) -> None:
        """Arm a job's next fire; nothing for a job that is not to fire. Raises NasError."""
        reconciler = self.process.reconciler()
        if fire_at := reconciler.fire_at(job):
            reconciler.arm(job["id"], fire_at)

    def _after_fire(self, job_id: str, ran: bool) -> None:
        """After a run: arm the next fire, and return when it is armed, or soon."""
        reconciler = self.process.reconciler()
        try:
            if ran:
                self._arm_one_shot({"id": job_id, "next_run_at": reconciler.times().get(job_id)})
        except Exception as error:
            log.warning("job %s is not armed yet: %s", job_id, error)
        reconciler.wait(reconciler.request(), REARM_SECONDS if ran else 0.0)


class _OnePhase(_Provider):
    """hermes 0.18 and 0.19: NAS has its answer before this is called."""

    @_in_its_home
    def fire_due(self, job_id: str, **options: object) -> bool:
        """Have hermes claim and run a due job, then arm its next fire."""
        reconciler, ran = self.process.reconciler(), False
        try:
            with reconciler.fires.in_progress(job_id, reconciler.times().get(job_id)) as first:
                if first and reconciler.fires.await_due(job_id, EARLY_SECONDS):
                    ran = bool(self.host.call("fire_due", self, job_id, **options))
        finally:
            self._after_fire(job_id, ran)
        return ran


class _TwoPhase(_Provider):
    """Later ones: claimed before NAS has its answer, run after it."""

    @_in_its_home
    def claim_fire(self, job_id: str, **options: object) -> Job | None:
        """Have hermes claim a due job; None for a duplicate. A person's fire is always due.

        Raises NotArmedError for the watchdog's until the next one is armed: NAS keeps it so
        long. Raises PausedError for any other while hermes is paused: not every release asks.
        Raises StoreError for a job that is not to be found where not every store can be read.
        """
        reconciler = self.process.reconciler()
        if job_id == reconciler.watchdog_id:
            met = reconciler.wait(reconciler.try_again(), HOLD_BEFORE_ANSWER_SECONDS)
            status = reconciler.status
            if not met or job_id in status.failed_jobs:
                raise NotArmedError(f"the next watchdog is not armed: {status.last_error}")
            return None
        by_a_person = options.get("force") or options.get("manual")
        if not by_a_person and self.process.host.is_paused():
            raise PausedError("hermes is paused; `hermes resume` ends that")
        if by_a_person or reconciler.fires.await_due(job_id, HOLD_BEFORE_ANSWER_SECONDS):
            reconciler.look_again(CLAIM_SECONDS)  # hermes may take the claim back and tell nobody
            claimed: Job | None = None
            try:
                claimed = self.host.call("claim_fire", self, job_id, **options)
            finally:
                if not claimed:  # what NAS lists still is spent, and gone in a moment
                    reconciler.look_again(reconciler.policy.delay)
            if claimed and not by_a_person:
                reconciler.fires.claimed(job_id)
            return claimed
        from .profiles import check_gone

        check_gone(self.process.host, job_id)
        return None

    @_in_its_home
    def rearm_aborted_claim(self, claimed_job: Job, **options: object) -> Any:
        """Arm a job anew whose claim hermes took back before it ran: its one-shot is spent."""
        answer = self.host.call("rearm_aborted_claim", self, claimed_job, **options)
        self.process.reconciler().arm_anew(str(claimed_job["id"]))
        return answer

    @_in_its_home
    def fire_claimed(self, claimed_job: Job, **options: object) -> bool:
        """Have hermes run a claimed job, then arm its next fire."""
        job_id, ran = str(claimed_job["id"]), False
        try:
            with self.process.reconciler().fires.in_progress(job_id):
                ran = bool(self.host.call("fire_claimed", self, claimed_job, **options))
        finally:
            self._after_fire(job_id, ran)
        return ran


@functools.cache
def provider_class(base: type, process: PluginRuntime = PLUGIN) -> type[Provider]:
    """Our provider for a host whose base class is `base`. Logs version and path the first time."""
    log.info("chronos_plugin %s from %s", __version__, Path(__file__).parent)
    host = HostBase(base)
    kind = _TwoPhase if host.has("fire_claimed") else _OnePhase
    members = {"host": host, "process": process, "__module__": __name__}
    return type("ChronosCronScheduler", (kind, base), members)


def new_provider() -> Provider:
    """A provider for the hermes of this process."""
    return provider_class(PLUGIN.host.schedulers().CronScheduler)()
