"""What hermes has for this plugin and takes of it, for the type checker alone: never imported.

Only what every release that is supported has. `HostBase` asks for the rest by name.
"""

from __future__ import annotations

import threading
from typing import Protocol

from .store import Job


class Provider(Protocol):
    """A cron provider, ours among them. hermes hands each hook keywords of its release."""

    name: str

    def is_available(self, **options: object) -> bool:
        """Whether hermes is to use it."""

    def start(self, stop_event: threading.Event, **options: object) -> None:
        """Begin to serve, in a gateway, until the event is set."""

    def reconcile(self, **options: object) -> None:
        """Reconcile now."""

    def on_jobs_changed(self, **options: object) -> None:
        """Reconcile, as the store was changed."""

    def register_job(self, job: Job, **options: object) -> None:
        """Reconcile for a job just made."""


class Schedulers(Protocol):
    """The module `cron.scheduler_provider`: two classes that differ from release to release."""

    @property
    def CronScheduler(self) -> type:  # noqa: N802 - hermes's name
        """What a provider derives from."""

    @property
    def InProcessCronScheduler(self) -> type:  # noqa: N802 - hermes's name
        """The built-in ticker."""
