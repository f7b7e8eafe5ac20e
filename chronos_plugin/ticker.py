"""hermes's built-in ticker in place of NAS; imported when NAS does not know the agent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from .host import log
from .host_base import HostBase

if TYPE_CHECKING:
    from .plugin_runtime import PluginRuntime


def run(process: PluginRuntime, options: Mapping[str, object]) -> None:
    """Have it fire the jobs for as long as the process serves. Returns at once."""
    log.warning("hermes's built-in ticker fires the jobs until hermes is started again")
    ticker = process.host.schedulers().InProcessCronScheduler
    start = partial(HostBase(ticker).call, "start", ticker(), process.stop_event, **options)
    process.runtime.spawn(start, "chronos-ticker")
