"""The provider: what hermes calls, in one step or two; its base class shows which."""

from __future__ import annotations

import functools
import sys
import textwrap
from pathlib import Path
from typing import Any

from nas_sdk._version import __version__
from nas_sdk.agent import EARLY_SECONDS

from .host import log
from .host_base import HostBase
from .keeper import PROCESS, Process
from .store import Job
from .verify import keys

HOLD_BEFORE_ANSWER_SECONDS = 15.0  # NAS waits 30 s for an answer
CLAIM_SECONDS = 35.0  # a job that was claimed and is not running is then armed again
PROMPT_SECONDS, REARM_SECONDS, START_SECONDS = 8.0, 20.0, 60.0
REMEDY = "a running gateway tries again; or run `chronos reconcile`"


class NotArmedError(RuntimeError):
    """A job was saved, but NAS does not know yet when to wake the agent for it."""


class _Provider:
    """What is the same on every host. Each hook takes any keyword, as hosts add some."""

    host: HostBase
    process: Process
    name = "chronos"

    def is_available(self, **options: Any) -> bool:
        """Whether the configuration and a stored login are there. Asks nobody."""
        settings = self.process.host.settings()
        if (unusable := settings.unusable()) and settings.active:
            log.warning("not set or not usable: cron.chronos.%s", ", ".join(unusable))
        return not unusable and self.process.host.is_logged_in()

    def start(self, stop_event: Any, **options: Any) -> None:
        """Converge and return. `options` are for the built-in ticker, should it take over."""
        self.process.serve(stop_event, options)
        self.host.call("recover_interrupted", self)
        settings = self.process.host.settings()
        self.reconcile()
        self.process.system.spawn(lambda: keys(settings.jwks_url, settings.allow_http), "nas-keys")
        if self.process.keeper().given_up:
            self.process.fall_back(settings.home)

    def reconcile(self, **options: Any) -> None:
        """Converge now."""
        keeper = self.process.keeper()
        keeper.wait(keeper.request(), START_SECONDS)

    def on_jobs_changed(self, **options: Any) -> None:
        """Converge: in the background of a server, and at a prompt before it returns."""
        keeper = self.process.keeper()
        ticket = keeper.request()
        if self.process.serving or (keeper.wait(ticket, PROMPT_SECONDS) and not keeper.unarmed):
            return
        ids = keeper.missing()
        what = f"{len(ids)} jobs are" if len(ids) > 2 else f"{', '.join(ids) or 'your change'} is"
        problem = textwrap.shorten(f"chronos: {what} not armed yet: {keeper.trouble}", 80)
        sys.stderr.write(f"{problem}\nchronos: {keeper.remedy or REMEDY}\n")

    def register_job(self, job: Job, **options: Any) -> None:
        """Converge for a job just made. Raises NotArmedError when it is not armed in time."""
        keeper = self.process.keeper()
        armed = keeper.wait(keeper.request(), PROMPT_SECONDS) and job["id"] not in keeper.unarmed
        if not armed and not (keeper.given_up and self.process.ticking):
            what, remedy = f"job {job['id']} is saved but not armed", keeper.remedy or REMEDY
            message = f"{what}: {keeper.trouble}; {remedy}"
            log.warning("%s", message)
            raise NotArmedError(message)

    def _arm_one_shot(self, job: Job) -> None:
        """Arm a job's next fire; nothing for a job that is not to fire. Raises NasError."""
        keeper = self.process.keeper()
        if fire_at := keeper.fire_at(job):
            keeper.arm(job["id"], fire_at)

    def _after_fire(self, job_id: str, ran: bool) -> None:
        """After a run: arm the next fire, and return when it is armed, or soon."""
        keeper = self.process.keeper()
        try:
            if ran:
                self._arm_one_shot({"id": job_id, "next_run_at": keeper.times().get(job_id)})
        except Exception as error:
            log.warning("job %s is not armed yet: %s", job_id, error)
        keeper.wait(keeper.request(), REARM_SECONDS if ran else 0.0)


class _OnePhase(_Provider):
    """hermes 0.18 and 0.19: NAS has its answer before this is called."""

    def fire_due(self, job_id: str, **options: Any) -> bool:
        """Have hermes claim and run a due job, then arm its next fire."""
        keeper, ran = self.process.keeper(), False
        try:
            with keeper.in_hand(job_id, keeper.times().get(job_id)) as first:
                if first and keeper.await_due(job_id, EARLY_SECONDS):
                    ran = bool(self.host.call("fire_due", self, job_id, **options))
        finally:
            self._after_fire(job_id, ran)
        return ran


class _TwoPhase(_Provider):
    """Later ones: claimed before NAS has its answer, run after it."""

    def claim_fire(self, job_id: str, **options: Any) -> Any:
        """Have hermes claim a due job; None for a duplicate. A person's fire is always due."""
        by_a_person = options.get("force") or options.get("manual")
        keeper = self.process.keeper()
        if by_a_person or keeper.await_due(job_id, HOLD_BEFORE_ANSWER_SECONDS):
            keeper.look_again(CLAIM_SECONDS)  # hermes may take the claim back and tell nobody
            return self.host.call("claim_fire", self, job_id, **options)
        return None

    def rearm_aborted_claim(self, claimed_job: Any, **options: Any) -> Any:
        """Arm a job anew whose claim hermes took back before it ran: its one-shot is spent."""
        answer = self.host.call("rearm_aborted_claim", self, claimed_job, **options)
        self.process.keeper().arm_anew(str(claimed_job["id"]))
        return answer

    def fire_claimed(self, claimed_job: Any, **options: Any) -> bool:
        """Have hermes run a claimed job, then arm its next fire."""
        job_id, ran = str(claimed_job["id"]), False
        try:
            with self.process.keeper().in_hand(job_id):
                ran = bool(self.host.call("fire_claimed", self, claimed_job, **options))
        finally:
            self._after_fire(job_id, ran)
        return ran


@functools.cache
def provider_class(base: Any, process: Process = PROCESS) -> Any:
    """Our provider for a host whose base class is `base`; told of in the log, once."""
    log.info("chronos_plugin %s from %s", __version__, Path(__file__).parent)
    host = HostBase(base)
    kind = _TwoPhase if host.has("fire_claimed") else _OnePhase
    members = {"host": host, "process": process, "__module__": __name__}
    return type("ChronosCronScheduler", (kind, base), members)


def new_provider() -> Any:
    """A provider for the hermes of this process."""
    return provider_class(PROCESS.host.schedulers().CronScheduler)()
