"""hermes's built-in ticker in place of NAS; imported when NAS does not know the agent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nas_sdk._typing import override

from .host import log
from .host_base import HostBase

if TYPE_CHECKING:
    from .plugin_runtime import HomeReconciler, PluginRuntime


class _Stop(threading.Event):
    """Is set, too, when hermes stops; only then before `wait` has waited."""

    def __init__(self, hermes_stops: threading.Event) -> None:
        super().__init__()
        self._hermes_stops = hermes_stops

    @override
    def is_set(self) -> bool:
        return super().is_set() or self._hermes_stops.is_set()

    @override
    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set() or self._hermes_stops.wait(timeout) or self.is_set()


def begin(process: PluginRuntime, home: Path) -> None:
    """Have it fire a home's jobs, if hermes's scheduler runs here for that."""
    with process.lock:
        is_over = process.ticker_ends is None or process.ticker_ends.is_set()
        if is_over and process.ticker and process.ticker[0] == home:
            process.ticker_ends = _run(process, process.ticker[1])


def end(process: PluginRuntime, reconciler: HomeReconciler) -> None:
    """Have it end if NAS has all there is to arm for its home again."""
    with process.lock:  # a rejection met just now starts one after this
        is_its = process.ticker is not None and process.ticker[0] == reconciler.home
        if process.ticker_ends and is_its and not reconciler.status.last_error:
            process.ticker_ends.set()
            process.ticker_ends = None


def _run(process: PluginRuntime, options: Mapping[str, object]) -> threading.Event:
    """Have it fire the jobs until the event is set, or hermes stops. Returns at once."""
    log.warning("hermes's built-in ticker fires the jobs until all are armed again")
    ticker, stop = process.host.schedulers().InProcessCronScheduler, _Stop(process.stop_event)
    start = partial(HostBase(ticker).call, "start", ticker(), stop, **options)
    process.runtime.spawn(start, "chronos-ticker")
    return stop
