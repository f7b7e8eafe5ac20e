"""What outlives one event: hermes builds a provider per call, this belongs to the process.

A `Keeper` keeps NAS in step with one agent home; the `Process` has one for each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from nas_sdk.agent import AgentConverger
from nas_sdk.converger import HEAL_SECONDS, System

from .host import HERMES, Host, Settings, log

if TYPE_CHECKING:
    from nas_sdk.client import NasClient

PROMPT_STEP_SECONDS = 4.5
"""The patience with NAS at a prompt for one step; at most two steps of a converge hang."""

Connect = Callable[[Settings, Callable[[], str]], "NasClient"]


def connect(settings: Settings, token: Callable[[], str]) -> NasClient:
    """A client of the NAS of these settings. The one seam for it."""
    from nas_sdk.client import NasClient

    allow_http = settings.allow_http
    return NasClient(settings.portal_url, token, user_agent="chronos", allow_http=allow_http)


class Keeper(AgentConverger):
    """Keeps the one-shots of one home. Safe to use from many threads."""

    log = log

    def __init__(self, process: Process, settings: Settings) -> None:
        """Start nothing; the first request does."""
        super().__init__(
            str(settings.home),
            settings.callback_url,
            process.system,
            on_rejected=process.fall_back,
            is_stopping=lambda: process.stop_event.is_set(),
        )
        self.home, self.watchdog = settings.home, settings.watchdog
        self._process, self._host = process, process.host
        self._nas = process.connect(settings, lambda: self._host.access_token(self.home))

    def client(self) -> NasClient:
        """One client for the process; impatient at a prompt."""
        if self._process.serving:
            return self._nas
        return self._nas.with_options(timeout=PROMPT_STEP_SECONDS, deadline=PROMPT_STEP_SECONDS)

    def times(self) -> Mapping[str, str]:
        """Read from the home's store; raises when that cannot be read."""
        return self._host.times(self.home)

    def others(self) -> Collection[str]:
        """The jobs of the other profiles of this installation."""
        homes = [home for home in self._host.homes() if home != self.home]
        return {job_id for home in homes for job_id in self._host.times(home)}

    def taken(self, job_ids: Collection[str]) -> Collection[str]:
        """By hermes's own marks."""
        return self._host.taken(job_ids, self.home, self.system.time())

    def watch(self, stop_event: Any) -> None:
        """Converge after changes of the store that nobody tells of, until stopped."""
        self.follow(lambda: self._host.changes(self.home, stop_event))


class Process:
    """The keepers of this process, one per home and NAS, and how hermes runs here."""

    def __init__(
        self, host: Host = HERMES, system: System | None = None, connect: Connect = connect
    ) -> None:
        """With the three seams: hermes, time and threads, and NAS."""
        self.host, self.system, self.connect = host, system or System(), connect
        self.serving = False
        """Whether this is a server, which lives on, or a command at a prompt."""
        self.ticking = False
        """Whether hermes's built-in ticker has taken over here."""
        self.stop_event: Any = threading.Event()
        """Set when hermes stops its scheduler."""
        self._ticker_options: Mapping[str, Any] | None = None
        self._keepers: dict[Settings, Keeper] = {}
        self._lock = threading.Lock()

    def keeper(self, settings: Settings | None = None) -> Keeper:
        """The keeper of a home, by default of the one the calling thread works on."""
        settings = settings or self.host.settings()
        with self._lock:
            if settings not in self._keepers:
                self._keepers[settings] = Keeper(self, settings)
            return self._keepers[settings]

    def serve(self, stop_event: Any, ticker_options: Mapping[str, Any]) -> None:
        """Note that hermes runs its scheduler in this process, and how."""
        self.serving, self.stop_event = True, stop_event
        self._ticker_options = ticker_options

    def fall_back(self) -> None:
        """Have hermes's built-in ticker fire the jobs, where hermes runs its scheduler."""
        options = self._ticker_options
        with self._lock:
            if options is None or self.ticking:
                return
            self.ticking = True
        log.warning("hermes's built-in ticker fires the jobs until hermes is started again")
        ticker = self.host.schedulers().InProcessCronScheduler()
        self.system.spawn(lambda: ticker.start(self.stop_event, **options), "chronos-ticker")

    def heal(self) -> None:
        """Converge every home of this installation soon. Returns at once."""
        self.serving = True
        self.system.spawn(self._heal, "chronos-heal")

    def _heal(self) -> None:
        for home in self.host.homes():
            settings = self.host.settings(home)
            if settings.active:
                keeper = self.keeper(settings)
                keeper.request(HEAL_SECONDS)
                keeper.watch(self.stop_event)


PROCESS = Process()
