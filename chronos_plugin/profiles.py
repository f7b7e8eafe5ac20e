"""The other profiles of an installation; imported for a fire, and where there is another."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from nas_sdk.reconcile.desired import watchdog_id

from .host import log
from .store import Job, Store
from .store_marks import is_believed_empty, was_store_seen

if TYPE_CHECKING:
    from .host import Host


class StoreError(RuntimeError):
    """The job store of a profile cannot be read."""


def stored(host: Host, home: Path) -> Collection[Job]:
    """The jobs of another profile. Raises StoreError where they are unknown."""
    store = host.store(home)
    _check(store, home)
    is_unsure = was_store_seen(home) and not store.jobs and not is_believed_empty(home)
    if is_unsure and host.settings(home).active:
        raise StoreError(
            f"the store of {home} is empty; only its own reconcile tells if that is so"
        )
    return store.jobs


def home_of(host: Host, job_id: str) -> Path:
    """The home of a job, or watchdog: the calling thread's, or another one that has it."""
    here = host.home()
    if _has(host, here, job_id):
        return here
    for home in host.homes():
        if home != here and _has(host, home, job_id) and host.settings(home).active:
            if host.can_switch():
                return home
            log.warning("job %s is of %s: this hermes runs it nowhere else", job_id, home)
    return here


def check_gone(host: Host, job_id: str) -> None:
    """Raise StoreError for a job that no home has, and one that cannot be read may have."""
    stores = {home: host.store(home) for home in host.homes()}
    if not any(_holds(store, home, job_id) for home, store in stores.items()):
        for home, store in stores.items():
            if host.settings(home).active:
                _check(store, home)


def _check(store: Store, home: Path) -> None:
    """Raise StoreError where a store may have jobs that cannot be read."""
    if store.problem and not (store.is_missing and not was_store_seen(home)):
        raise StoreError(store.problem)


def _has(host: Host, home: Path, job_id: str) -> bool:
    return _holds(host.store(home), home, job_id)


def _holds(store: Store, home: Path, job_id: str) -> bool:
    return job_id == watchdog_id(str(home)) or any(job["id"] == job_id for job in store.jobs)
