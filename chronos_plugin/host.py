"""hermes as this plugin sees it: every import of a hermes module is here."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nas_sdk._core.validation import is_callback_url

from . import store
from .host_base import HostBase
from .store import Job, Store

if TYPE_CHECKING:
    from .hermes_types import Schedulers

log = logging.getLogger("cron.chronos")
NEEDED = ("portal_url", "callback_url", "expected_audience", "nas_jwks_url")


class ChronosConfig(NamedTuple):
    """`cron.chronos` of one home's config.yaml; URLs without a slash at their end."""

    home: Path
    active: bool  # cron.provider is chronos
    portal_url: str
    callback_url: str
    jwks_url: str
    audience: str
    allow_http: bool  # NAS may be on another machine without TLS
    watchdog: bool

    @property
    def nas(self) -> tuple[str, bool]:
        """What a client is made for: its token goes nowhere else."""
        return self.portal_url, self.allow_http

    def unusable(self) -> list[str]:
        """The keys without which nothing would be armed, or every fire be refused."""
        good = (self.portal_url, is_callback_url(self.callback_url), self.audience, self.jwks_url)
        return [key for key, fine in zip(NEEDED, good, strict=True) if not fine]


class Host:
    """The hermes of this process, safe for any thread. The one seam for it."""

    def schedulers(self) -> Schedulers:
        """The module with `CronScheduler` and `InProcessCronScheduler`, the built-in ticker."""
        from cron import scheduler_provider

        return scheduler_provider  # type: ignore[no-any-return]  # hermes has no types

    def answers_first(self) -> bool:
        """Whether NAS has the answer to a fire before the provider hears of it."""
        return not HostBase(self.schedulers().CronScheduler).has("fire_claimed")

    def home(self) -> Path:
        """The agent home whose store the calling thread works on."""
        from hermes_constants import get_hermes_home

        # Not what is in sys.modules: another thread may have imported half of it.
        jobs: Any = "cron.jobs" in sys.modules and importlib.import_module("cron.jobs")
        if jobs and not hasattr(jobs, "use_cron_store"):
            return Path(jobs.CRON_DIR).parent.resolve()  # 0.18 switches stores by this global
        return Path(get_hermes_home()).resolve()

    @contextlib.contextmanager
    def working_on(self, home: Path) -> Iterator[None]:
        """Have the calling thread work on a home and its store, where hermes can switch stores."""
        with _at_home(home), _at_store(home):
            yield

    def can_switch(self) -> bool:
        """Whether this hermes can run a job in another home than the process's own."""
        from cron import jobs

        return hasattr(jobs, "use_cron_store")

    def sidelined(self, home: Path | None = None) -> str:
        """Why the gateway fires a home's jobs by its built-in ticker all the same; empty if not.

        A gateway that serves several profiles takes no other scheduler.
        """
        if not hasattr(self.schedulers(), "scheduler_for_profile_mode"):
            return ""
        from .host_multiplex import sidelined

        return sidelined(home or self.home())

    def homes(self) -> list[Path]:
        """The homes of all profiles of this installation."""
        from hermes_constants import get_default_hermes_root

        root = Path(get_default_hermes_root()).resolve()
        homes = [root, *sorted(root.glob("profiles/*/"))]
        files = ("config.yaml", "cron/jobs.json")
        return [home for home in homes if any((home / name).is_file() for name in files)]

    def is_deleted(self, home: Path) -> bool:
        """Whether a home is that of a profile, and gone; not for a volume that is."""
        profiles = home.parent
        return profiles.name == "profiles" and profiles.is_dir() and not home.exists()

    def settings(self, home: Path | None = None) -> ChronosConfig:
        """The configuration of a home, by default of the calling thread's."""
        from hermes_cli.config import cfg_get, load_config_readonly

        home = home or self.home()
        with _at_home(home):
            config = load_config_readonly()
        ours = got if isinstance(got := cfg_get(config, "cron", "chronos"), dict) else {}
        return ChronosConfig(
            home,
            active=str(cfg_get(config, "cron", "provider")).strip() == "chronos",
            portal_url=str(ours.get("portal_url") or "").rstrip("/"),
            callback_url=str(ours.get("callback_url") or "").rstrip("/"),
            jwks_url=str(ours.get("nas_jwks_url") or ""),
            audience=str(ours.get("expected_audience") or ""),
            allow_http=ours.get("allow_http") is True,
            watchdog=ours.get("watchdog") is not False,
        )

    def is_logged_in(self) -> bool:
        """Whether a Nous login is stored. Reads a file, asks nobody."""
        from hermes_cli.auth import get_provider_auth_state

        return bool((get_provider_auth_state("nous") or {}).get("access_token"))

    def access_token(self, home: Path, renew: bool) -> str:
        """A Nous access token that is good now, or a new one. Slow; may go to the network.

        Raises TokenError with hermes's reason.
        """
        from .host_login import access_token

        with _at_home(home):
            return access_token(renew)

    def store(self, home: Path) -> Store:
        """The jobs of a home, as far as they can be read."""
        return store.read(home / "cron" / "jobs.json")

    def is_runnable(self, job: Job) -> bool:
        """Whether hermes would run this job when it is due; also where hermes cannot tell.

        A fire for nothing costs one answer; a job that is wrongly left out is cancelled.
        """
        from cron import jobs

        judge = getattr(jobs, "is_job_runnable", lambda job: job.get("enabled", True))
        try:
            runnable = bool(judge(job))
        except Exception:
            runnable = True
        return runnable and job.get("state") not in ("paused", "completed")

    def is_paused(self) -> bool:
        """Whether a person has stopped all new work by `hermes pause`."""
        from . import host_state

        return host_state.is_paused()

    def problem(self, home: Path) -> str:
        """What hermes keeps as wrong with its scheduler; empty where it keeps nothing."""
        from . import host_state

        with self.working_on(home):
            return host_state.problem()

    def keep_problem(self, home: Path, problem: str) -> None:
        """Have hermes keep a problem of ours, or forget the last one, where it can."""
        from . import host_state

        with self.working_on(home):
            host_state.keep_problem(problem)

    def running(self, job_ids: list[str], home: Path, since: float) -> set[str]:
        """Which of these jobs a live process has run `since`, where hermes records that."""
        from . import host_state

        with _at_home(home):
            return host_state.running(job_ids, since)


def _at_store(home: Path) -> contextlib.AbstractContextManager[object]:
    """Have this thread work on the job store of a home, where hermes can do that."""
    from cron import jobs

    use = getattr(jobs, "use_cron_store", None)
    return use(home) if use else contextlib.nullcontext()


@contextlib.contextmanager
def _at_home(home: Path) -> Iterator[None]:
    from hermes_constants import reset_hermes_home_override, set_hermes_home_override

    token = set_hermes_home_override(str(home))
    try:
        yield
    finally:
        reset_hermes_home_override(token)
