"""What is noted beside a home's job store: that there was one, or that it is rightly empty.

Imported when a reconcile reads a store, and not to choose a provider.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


def status_folder(home: Path) -> Path:
    """Where this plugin keeps what it has to say of a home."""
    return home / "cron" / "chronos"


def store_seen(home: Path) -> None:
    """Note that a home has a store with jobs, should that be gone or empty one day."""
    with contextlib.suppress(OSError):
        _empty(home).unlink(missing_ok=True)
        _touch(_seen(home))


def was_store_seen(home: Path) -> bool:
    """Whether a home once had a store with jobs, for all that is known."""
    return _seen(home).exists()


def store_believed_empty(home: Path) -> None:
    """Note that the home's own reconcile takes it that there are no jobs any more."""
    with contextlib.suppress(OSError):
        _touch(_empty(home))


def is_believed_empty(home: Path) -> bool:
    """Whether that was noted since the store last had jobs."""
    return _empty(home).exists()


def forget_store(home: Path) -> None:
    """Take it that a home has no store any more, and is to have none."""
    for mark in (_seen(home), _empty(home)):
        mark.unlink(missing_ok=True)


def _seen(home: Path) -> Path:
    return status_folder(home) / "store-seen"


def _empty(home: Path) -> Path:
    return status_folder(home) / "store-empty"


def _touch(mark: Path) -> None:
    if not mark.exists():
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch()
