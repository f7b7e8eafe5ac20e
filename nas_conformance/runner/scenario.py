"""All the fires of a run: armed together, received, answered, and kept for the checks.

One scene instead of a wait for each check, so that the whole takes seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import httpx

from nas_sdk._core.instants import format_instant, parse_instant

from .context import Agent, Context
from .receiver import PATH, Answer, Delivery, Receiver
from .wire import CheckFailed

_ACCEPTED: Final = Answer(202, "accepted")
_PREFIX: Final = "/some/base"
_SETTLES: Final = 5.0
"""Seconds a NAS may take to note an answer."""
ELSEWHERE: Final = "/elsewhere"


@attrs.define
class Part:
    """One job of the scene."""

    job_id: str
    fire_at: str
    callback_url: str
    expected: int
    """How many deliveries must come."""
    schedule_id: str = ""

    @property
    def due(self) -> float:
        """Its fire time, in seconds since the epoch."""
        return parse_instant(self.fire_at) / 1000


class FireScenario:
    """What was armed and what came of it. `failure` is set when it could not be played."""

    def __init__(self, context: Context) -> None:
        """Listen from now on; OSError or OverflowError where that cannot be."""
        self._context = context
        self.patience = context.options.patience
        self.failure: CheckFailed | None = None
        self.parts: dict[str, Part] = {}
        self.listed_while_busy = False
        self.remembered = ""
        self.listed_after: Mapping[str, Any] = {}
        self._hold = threading.Event()
        self._until = 0.0
        self.receiver = Receiver(context.options.receive_port)
        self.base = (context.options.callback_url or self.receiver.url).rstrip("/")

    def play(self) -> None:
        """Arm everything, wait until it is over, and for the silence after it."""
        try:
            self._arm_all()
            self._until = time.monotonic() + self.patience.most
            self._during()
            self._wait(self._is_complete)
            self._again()
            self.receiver.wait(lambda: False, self._silence())
            self.listed_after = self._context.agent.armed()[0]
        except CheckFailed as broken:
            self.failure = broken

    def close(self) -> None:
        """Stop receiving."""
        self._hold.set()
        self.receiver.close()

    def deliveries(self, name: str) -> list[Delivery]:
        """What came for a part, oldest first."""
        return self.receiver.deliveries(self.parts[name].job_id)

    def played(self) -> FireScenario:
        """The scene itself; CheckFailed when it could not be played."""
        if self.failure is not None:
            raise self.failure
        return self

    def came(self, name: str, count: int = 1) -> list[Delivery]:
        """A part's deliveries; CheckFailed when there are fewer."""
        came = self.deliveries(name)
        if len(came) < count:
            wrong = "the fire did not come" if not came else "the fire was not sent again"
            raise CheckFailed(
                f"{wrong} within {self.patience.most:g} s",
                steps=self.steps(name),
                rests_on="" if came else "fire.delivered",
            )
        return came

    def ended_once(self, name: str) -> None:
        """CheckFailed unless a part had its one delivery and is off the list."""
        if len(self.came(name)) > 1:
            raise CheckFailed("the fire came again after it had ended", steps=self.steps(name))
        if self.parts[name].job_id in self.listed_after:
            raise CheckFailed(
                "the one-shot is still listed", steps=self.steps(name), rests_on="shape.list"
            )

    def never_fired(self, name: str) -> None:
        """CheckFailed when a part had a delivery."""
        if self.deliveries(name):
            raise CheckFailed("it fired", steps=self.steps(name))

    def steps(self, name: str) -> list[str]:
        """What happened to a part, in words."""
        part = self.parts[name]
        came = [
            f"{each.at - part.due:+.3f} s: {each.method} {each.path}, "
            + (f"answered {each.answered}" if each.answered else "connection dropped")
            for each in self.deliveries(name)
        ]
        return [f"armed {part.job_id} for {part.fire_at}", *(came or ["nothing came"])]

    def _arm_all(self) -> None:
        retry_after = {"Retry-After": str(self.patience.retry_after)}
        location = {"Location": self.base + ELSEWHERE}
        for name, first in {
            "busy": Answer(503, headers=retry_after),
            "error": Answer(500),
            "refused": Answer(401),
            "bad": Answer(400),
            "missing": Answer(404),
            "moved": Answer(307, headers=location),
        }.items():
            self._arm(name, 2, first, _ACCEPTED)
        # Twice: a client may send once more by itself where a connection it kept was closed.
        self._arm("dropped", 3, Answer(0), Answer(0), _ACCEPTED)
        self._arm("under-way", 2, attrs.evolve(_ACCEPTED, hold=self._hold), _ACCEPTED)
        self._arm("accepted", 1, _ACCEPTED)
        for word in self._context.contract.words("FireNotRun", "status"):
            self._arm(word, 1, Answer(200, word))
        self._arm("any-2xx", 1, Answer(204))
        self._arm("gone-410", 1, Answer(410))
        self._arm("slash", 1, _ACCEPTED, url=f"{self.base}{_PREFIX}/")
        self._arm("past", 1, _ACCEPTED, ahead=-3600.0)
        if self._context.options.second:
            self._arm("second", 1, _ACCEPTED, agent=self._context.other)
        agent = self._context.agent
        self._arm_and_undo("cancelled", agent.cancel)
        self._arm_and_undo(
            "postponed", lambda job: agent.provision(job, self._context.later(), self.base)
        )

    def _arm(
        self,
        name: str,
        expected: int,
        *answers: Answer,
        url: str = "",
        ahead: float | None = None,
        agent: Agent | None = None,
    ) -> Part:
        fire_at = self._soon(ahead)
        part = Part(self._context.job(name), fire_at, url or self.base, expected)
        self.receiver.answer(part.job_id, *answers)
        self.parts[name] = part
        who = agent or self._context.agent
        part.schedule_id, _ = who.provision(part.job_id, fire_at, part.callback_url)
        return part

    def _arm_and_undo(self, name: str, undo: Callable[[str], object]) -> None:
        """Arm a job and undo that before it is due, with more time if it took too long."""
        for times in (1, 4, 16):
            part = self._arm(name, 0, _ACCEPTED, ahead=times * self.patience.soon)
            undo(part.job_id)
            if time.time() < part.due - self.patience.skew:
                return

    def _silence(self) -> float:
        """How long to listen when everything has come: past what must not come, too."""
        last = max(part.due for part in self.parts.values() if not part.expected)
        return max(0.0, last - time.time()) + self.patience.quiet

    def _during(self) -> None:
        """What is done while deliveries are under way."""
        busy, held = self.parts["busy"], self.parts["under-way"]
        if self._await(busy, 1):
            listed = busy.job_id in self._context.agent.armed()[0]
            # When the next attempt has been made meanwhile, the list tells nothing.
            self.listed_while_busy = listed or self.receiver.count(busy.job_id) > 1
        if self._await(held, 1):
            self._context.agent.provision(held.job_id, self._soon(), held.callback_url)
            self._hold.set()

    def _soon(self, ahead: float | None = None) -> str:
        ahead = self.patience.soon if ahead is None else ahead
        return format_instant(int((time.time() + ahead) * 1000))

    def _again(self) -> None:
        """Arm what was accepted once more, under the same key."""
        part = self.parts["accepted"]
        if not self._await(part, 1):
            return
        until = time.monotonic() + _SETTLES
        while part.job_id in self._context.agent.armed()[0] and time.monotonic() < until:
            self.receiver.wait(lambda: False, 0.1)
        self.remembered, _ = self._context.agent.provision(
            part.job_id, part.fire_at, part.callback_url
        )

    def _await(self, part: Part, count: int) -> bool:
        return self._wait(lambda: self.receiver.count(part.job_id) >= count)

    def _wait(self, done: Callable[[], bool]) -> bool:
        return self.receiver.wait(done, max(0.0, self._until - time.monotonic()))

    def _is_complete(self) -> bool:
        return all(
            self.receiver.count(part.job_id) >= part.expected for part in self.parts.values()
        )


def path_of(callback_url: str) -> str:
    """The path a fire to this callback URL must come to."""
    return f"{httpx.URL(callback_url).path.rstrip('/')}{PATH}"
