"""hermes as this plugin sees it: every import of a hermes module is here.

Jobs are hermes's own records; what the rest of the plugin asks of them is asked here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("cron.chronos")
_LIVE_SECONDS = (("fire_claim", 300), ("run_claim", 1800))
"""How long hermes takes a claim for a live one. A run renews the second kind."""


class Settings(NamedTuple):
    """`cron.chronos` of one home's config.yaml; URLs without a slash at their end."""

    home: Path
    active: bool  # cron.provider is chronos
    portal_url: str
    callback_url: str
    jwks_url: str
    allow_http: bool  # NAS may be on another machine without TLS
    watchdog: bool


class Host:
    """The hermes of this process, safe for any thread. The one seam for it."""

    def schedulers(self) -> Any:
        """The module with `CronScheduler` and `InProcessCronScheduler`, the built-in ticker."""
        from cron import scheduler_provider

        return scheduler_provider

    def home(self) -> Path:
        """The agent home whose store the calling thread works on."""
        from hermes_constants import get_hermes_home

        jobs: Any = sys.modules.get("cron.jobs")
        if jobs is not None and not hasattr(jobs, "use_cron_store"):
            return Path(jobs.CRON_DIR).parent.resolve()  # 0.18 switches stores by this global
        return Path(get_hermes_home()).resolve()

    def homes(self) -> list[Path]:
        """The homes of all profiles of this installation that ever had a job."""
        from hermes_constants import get_default_hermes_root

        root = Path(get_default_hermes_root()).resolve()
        homes = [root, *sorted(root.glob("profiles/*"))]
        return [home for home in homes if (home / "cron" / "jobs.json").is_file()]

    def settings(self, home: Path | None = None) -> Settings:
        """The configuration of a home, by default of the calling thread's."""
        from hermes_cli.config import cfg_get, load_config_readonly

        home = home or self.home()
        with _at_home(home):
            config = load_config_readonly()
        ours = cfg_get(config, "cron", "chronos")
        ours = ours if isinstance(ours, dict) else {}
        return Settings(
            home,
            active=cfg_get(config, "cron", "provider") == "chronos",
            portal_url=str(ours.get("portal_url") or "").rstrip("/"),
            callback_url=str(ours.get("callback_url") or "").rstrip("/"),
            jwks_url=str(ours.get("nas_jwks_url") or ""),
            allow_http=ours.get("allow_http") is True,
            watchdog=ours.get("watchdog") is not False,
        )

    def is_logged_in(self) -> bool:
        """Whether a Nous login is stored. Reads a file, asks nobody."""
        from hermes_cli.auth import get_provider_auth_state

        return bool((get_provider_auth_state("nous") or {}).get("access_token"))

    def access_token(self, home: Path) -> str:
        """A Nous access token that is good now. Slow; may go to the network."""
        from hermes_cli.auth import resolve_nous_access_token

        with _at_home(home):
            return str(resolve_nous_access_token())

    def times(self, home: Path) -> dict[str, str]:
        """When each job of a home that is to fire does so. Raises when they cannot be read."""
        jobs = _load_jobs(home)
        return {str(job["id"]): at for job in jobs if (at := self.fire_at(job))}

    def fire_at(self, job: Mapping[str, Any]) -> str | None:
        """When a job is to fire, as text for NAS; None for one that is not to fire."""
        from cron import jobs

        is_runnable = getattr(jobs, "is_job_runnable", lambda job: job.get("enabled", True))
        is_over = job.get("state") in ("paused", "completed") or not is_runnable(job)
        return None if is_over or not job.get("next_run_at") else str(job["next_run_at"])

    def taken(self, job_ids: Collection[str], home: Path, now: float) -> set[str]:
        """Which of these jobs were claimed just now, or are being run by a live process."""
        jobs = [job for job in _load_jobs(home) if job["id"] in job_ids]
        taken = {str(job["id"]) for job in jobs if _is_claimed(job, now)}
        rest = [str(job["id"]) for job in jobs if job["id"] not in taken]
        return taken | _running(rest, home) if rest else taken

    def changes(self, home: Path, stop_event: Any) -> Iterator[object]:
        """Yield after every change of a home's store, until `stop_event` is set."""
        from watchfiles import watch

        (home / "cron").mkdir(parents=True, exist_ok=True, mode=0o700)
        yield from watch(
            home / "cron",
            watch_filter=lambda _, path: path.endswith("jobs.json"),
            debounce=300,
            stop_event=stop_event,
            recursive=False,
        )


@contextlib.contextmanager
def _at_home(home: Path) -> Iterator[None]:
    from hermes_constants import reset_hermes_home_override, set_hermes_home_override

    token = set_hermes_home_override(str(home))
    try:
        yield
    finally:
        reset_hermes_home_override(token)


def _load_jobs(home: Path) -> list[dict[str, Any]]:
    from cron import jobs

    if hasattr(jobs, "use_cron_store"):
        with _at_home(home), jobs.use_cron_store(home):
            records = jobs.load_jobs()
    else:
        records = _read_store(home / "cron" / "jobs.json")
    return [job for job in records if isinstance(job, dict) and job.get("id")]


def _read_store(path: Path) -> list[Any]:
    if not path.exists():
        return []
    data = json.loads(path.read_text(encoding="utf-8-sig"), strict=False)
    return list(data["jobs"] if isinstance(data, dict) else data)


def _is_claimed(job: Mapping[str, Any], now: float) -> bool:
    return any(0 <= now - _claimed_at(job.get(name)) < live for name, live in _LIVE_SECONDS)


def _claimed_at(claim: Any) -> float:
    try:
        return datetime.fromisoformat(claim["at"]).timestamp()
    except (TypeError, KeyError, ValueError):
        return float("-inf")


def _running(job_ids: list[str], home: Path) -> set[str]:
    """Which of these jobs a live process runs, where hermes keeps a record of that."""
    try:
        from cron.executions import latest_executions
        from gateway.status import get_process_start_time
    except ImportError:  # 0.18
        return set()

    def is_live(run: Mapping[str, Any]) -> bool:
        began = run["status"] in ("claimed", "running") and run["process_started_at"]
        return bool(began) and began == get_process_start_time(run["pid"])

    with _at_home(home):
        return {job_id for job_id, run in latest_executions(job_ids).items() if is_live(run)}


HERMES = Host()
