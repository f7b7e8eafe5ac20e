"""Our provider in a simulated process."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from chronos_plugin import scheduler
from chronos_plugin.plugin_runtime import PluginRuntime

from .hermes import SimulatedHost
from .nas import Wire
from .store import Job

if TYPE_CHECKING:
    from .process import OsProcess


class Ours:
    """The plugin as hermes loads it: one `PluginRuntime`, and a new provider for every event."""

    def __init__(self, process: OsProcess) -> None:
        host = SimulatedHost(process)
        wire = Wire(process.world.nas, process)
        self.plugin = PluginRuntime(host, process.runtime, http_client=wire)
        # Not through its cache, which is meant for one process and not for thousands.
        self._provider: Any = scheduler.provider_class.__wrapped__(host.base, self.plugin)

    def start(self) -> None:
        self._provider().start(threading.Event(), adapters=None, loop=None)

    def verified(self) -> None:
        self.plugin.request_reconcile()

    def fire(self, job_id: str) -> object:
        return self._provider().fire_due(job_id)

    def claim(self, job_id: str, **how: bool) -> Any:
        return self._provider().claim_fire(job_id, **how)

    def run_claimed(self, claimed: Any) -> object:
        return self._provider().fire_claimed(claimed)

    def rolled_back(self, claimed: Any) -> None:
        self._provider().rearm_aborted_claim(claimed)

    def changed(self) -> None:
        self._provider().on_jobs_changed()

    def created(self, job: Job) -> None:
        if self._provider.host.has("register_job"):
            self._provider().register_job(job)
        else:
            self._provider().on_jobs_changed()

    def reconcile(self) -> None:
        self._provider().reconcile()
        reconciler = self.plugin.reconciler()
        if reconciler.status.last_error or reconciler.status.failed_jobs:
            raise RuntimeError(f"not everything is armed: {reconciler.status.last_error}")


class NoKeys:
    """Stands for NAS's keys: every simulated fire is NAS's own."""

    def __init__(self, url: str, allow_http: bool) -> None:
        pass

    def prefetch(self) -> None:
        pass


class Prompt:
    """Stands for `sys` in the plugin: what that says at the prompt is a warning."""

    def __init__(self, on_warning: Any) -> None:
        self.stderr = SimpleNamespace(write=on_warning)
