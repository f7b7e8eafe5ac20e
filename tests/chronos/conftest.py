import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from chronos_plugin.plugin_runtime import PluginRuntime
from chronos_plugin.scheduler import provider_class
from nas_sdk.reconcile.desired import WATCHDOG
from nas_sdk.testing import InMemoryNas
from tests.support.fake_hermes import FakeHermes
from tests.support.virtual_runtime import VirtualRuntime

LOOK_SECONDS = 5.0


@dataclass
class World:
    """One agent, its hermes and its NAS, in virtual time."""

    runtime: VirtualRuntime
    hermes: FakeHermes
    nas: InMemoryNas

    def boot(self) -> PluginRuntime:
        """A new hermes process on the same home; what an earlier one had in memory is lost."""
        return PluginRuntime(self.hermes, self.runtime, transport=self.nas.transport())

    def provider(self, process: PluginRuntime | None = None) -> Any:
        return provider_class(self.hermes.base, process or self.boot())()

    def armed(self) -> dict[str, str]:
        """The fire times NAS has, by job id."""
        return {job_id: one.fire_at for job_id, one in self.nas.armed().items()}

    def armed_jobs(self) -> dict[str, str]:
        """The same without watchdogs."""
        return {id_: at for id_, at in self.armed().items() if not id_.startswith(WATCHDOG)}

    def writes(self) -> list[str]:
        """The job ids of every provision and cancel that reached NAS, in order."""
        return [
            body["job_id"]
            for operation in ("provision", "cancel")
            for body in self.nas.sent(operation)
        ]

    def deliver(self, fire: Callable[[str], object]) -> list[str]:
        """Have NAS call the agent for what is due; each fire runs in a thread of its own."""

        def accept(request: httpx.Request) -> httpx.Response:
            job_id = json.loads(request.content)["job_id"]
            self.runtime.spawn(lambda: fire(job_id), f"fire of {job_id}")
            return httpx.Response(202, json={"status": "accepted", "job_id": job_id})

        return [delivery.job_id for delivery in self.nas.deliver(accept)]

    def live(self, seconds: float, fire: Callable[[str], object]) -> None:
        """Let time pass, NAS deliver what becomes due, and the threads do their work."""
        end = self.runtime.time() + seconds
        while True:
            now, due = self.runtime.time(), self.nas.next_due() or end + 1
            if due <= min(now, end):
                self.deliver(fire)
                self.runtime.sleep(0.001)
            elif now >= end:
                break
            else:  # what comes to be armed meanwhile may be due sooner
                self.runtime.sleep(min(LOOK_SECONDS, end - now, due - now))


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long an outage is survived hangs on the waits between the tries."""
    monkeypatch.setattr(random, "random", lambda: 0.5)


def _world(*, two_phases: bool) -> Iterator[World]:
    runtime = VirtualRuntime()
    hermes = FakeHermes(runtime, two_phases=two_phases)
    yield World(runtime, hermes, InMemoryNas(clock=runtime))
    runtime.close()


@pytest.fixture
def world() -> Iterator[World]:
    yield from _world(two_phases=False)


@pytest.fixture
def later_world() -> Iterator[World]:
    """With a hermes that claims before it answers."""
    yield from _world(two_phases=True)
