"""Any sequence of calls, on every store, against a model that is too plain to be wrong."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.store import MemoryStore, SqliteStore, Store
from tests.support.durations import DAY, MINUTE

T = 1_800_000_000_000
CHANCE = 0.25
SETTINGS = settings(max_examples=40, stateful_step_count=30, deadline=None)
Result = TypeVar("Result")
agents = st.sampled_from(["a", "b"])
jobs = st.sampled_from(["j1", "j2", "j3"])


@attrs.define
class Armed:
    """What the model knows of a one-shot."""

    key: str
    schedule_id: str
    due: int
    not_before: int
    lease_until: int | None = None
    attempt: int = 0
    first: int = 0
    dead: bool = False

    @property
    def wake(self) -> int:
        return self.not_before if self.lease_until is None else self.lease_until


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and the model side by side, with a clock of its own."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = T
        self.asked = -1
        self.model: dict[tuple[str, str], Armed] = {}
        self.delivered: dict[tuple[str, str], tuple[int, str]] = {}
        self.store: Store

    async def open(self) -> Store:
        """Open an empty store."""
        raise AssertionError("a machine is of a kind of store")

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.store = self.do(self.open())

    def teardown(self) -> None:
        self.do(self.store.close())
        self.loop.close()

    @rule(ms=st.sampled_from([0, 1, 500, 2_000, 59_999, 60_000, 600_000, DAY // 2, DAY, 8 * DAY]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(ms=st.sampled_from([1, MINUTE, 11 * MINUTE, DAY]))
    def the_clock_is_set_back(self, ms: int) -> None:
        self.now -= ms

    @rule(agent=agents, job=jobs, due=st.sampled_from([0, 1, 2, 4, 6, 200_000]))
    def provision(self, agent: str, job: str, due: int) -> None:
        at = format_instant(T + due * 1_000)
        key = f"{job}:{at}"
        wanted = one_shot.fresh(
            agent, job, at, "https://x.example", key, one_shot.new_schedule_id(), self.now
        )
        answer = self.do(self.store.provision(wanted, self.now))
        current = self.model.get((agent, job))
        until, schedule_id = self.delivered.get((agent, key), (0, ""))
        if current and current.key == key and not current.dead:
            assert answer == current.schedule_id
        elif self.now < until <= self.now + 11 * MINUTE:
            assert answer == schedule_id
        else:
            assert answer == wanted.schedule_id
            at_ms = T + due * 1_000
            self.model[agent, job] = Armed(key, answer, at_ms, max(self.now, at_ms))

    @rule(agent=agents, job=jobs)
    def cancel(self, agent: str, job: str) -> None:
        self.do(self.store.cancel(agent, job, self.now))
        self.model.pop((agent, job), None)

    @rule(agent=agents, job=jobs)
    def fire_now(self, agent: str, job: str) -> None:
        model = self.model.get((agent, job))
        schedule_id = "os_none" if model is None else model.schedule_id
        one = self.do(self.store.fire_now(agent, job, schedule_id, self.now))
        assert (one is None) == (model is None)
        if model is None or model.lease_until is not None:
            return
        if model.dead:
            model.dead, model.not_before, model.first = False, self.now, 0
        model.not_before = min(model.not_before, self.now)

    @rule(target=held, limit=st.integers(1, 4), per_agent=st.integers(1, 3))
    def lease(self, limit: int, per_agent: int) -> list[StoredOneShot]:
        self.asked = self.now
        taken = self.do(self.store.due(self.now, limit, per_agent=per_agent))
        due = [(a, j) for (a, j), one in self.model.items() if self.is_due(one)]
        names = [(one.agent, one.job_id) for one in taken]
        assert len(set(names)) == len(names)
        assert set(names) <= set(due)
        possible = sum(min(per_agent, sum(a == agent for a, _ in due)) for agent in "ab")
        assert len(taken) == min(limit, possible)
        for one in taken:
            model = self.model[one.agent, one.job_id]
            if model.not_before < model.due <= self.now:  # hastened, but no sooner for it
                model.not_before, model.attempt, model.first = model.due, 0, 0
            model.first = model.first or self.now
            model.attempt += 1
            model.lease_until = self.now + MINUTE
            told = (one.attempt, one.schedule_id, one.not_before_ms)
            assert told == (model.attempt, model.schedule_id, model.not_before)
        return taken

    def is_due(self, one: Armed) -> bool:
        return not one.dead and one.wake <= self.now

    @rule(tried=consumes(held))
    def accepted(self, tried: list[StoredOneShot]) -> None:
        for one in tried:
            self.do(self.store.settle(one, DeliveryResult(True, "202"), self.now))
            if one.not_before_ms < one.due_ms:
                if self.is_latest(one):
                    self.at_its_time(one)
                continue
            remembered = (self.now + 10 * MINUTE, one.schedule_id)
            self.delivered[one.agent, one.dedup_key] = remembered
            if (model := self.current(one)) is not None:
                del self.model[one.agent, one.job_id]
                assert model.schedule_id == one.schedule_id

    @rule(tried=consumes(held), retry_after=st.sampled_from([None, 0, 10_000, 2 * DAY]))
    def failed(self, tried: list[StoredOneShot], retry_after: int | None) -> None:
        for one in tried:
            self.do(self.store.settle(one, DeliveryResult(False, "503", retry_after), self.now))
            if not self.is_latest(one):
                continue
            model = self.model[one.agent, one.job_id]
            wait = CHANCE * min(600_000, 1_000 * 2 ** (one.attempt - 1))
            if retry_after is not None:
                wait = min(retry_after + wait, 3_600_000)
            early = model.not_before < model.due
            if early and (model.due <= self.now + int(wait) or self.now >= model.first + DAY):
                self.at_its_time(one)
                continue
            model.lease_until = None
            model.dead = self.now >= model.first + DAY
            again = max(self.now, min(self.now + int(wait), model.first + DAY))
            model.not_before = again if early else max(model.due, again)
            self.bury()

    def at_its_time(self, one: StoredOneShot) -> None:
        model = self.model[one.agent, one.job_id]
        model.lease_until, model.attempt, model.first = None, 0, 0
        model.not_before = max(model.due, self.now)

    def bury(self) -> None:
        for name in self.dead() - self.shown():
            del self.model[name]

    def dead(self) -> set[tuple[str, str]]:
        return {name for name, one in self.model.items() if one.dead}

    def shown(self) -> set[tuple[str, str]]:
        week = self.now - 7 * DAY
        return {name for name in self.dead() if self.model[name].not_before > week}

    @rule(tried=consumes(held))
    def handed_back(self, tried: list[StoredOneShot]) -> None:
        self.do(self.store.release(tried))
        for one in tried:
            if self.is_latest(one):
                self.model[one.agent, one.job_id].lease_until = None

    def is_latest(self, one: StoredOneShot) -> bool:
        model = self.current(one)
        return model is not None and (model.attempt, model.lease_until) == (
            one.attempt,
            one.lease_until_ms,
        )

    def current(self, one: StoredOneShot) -> Armed | None:
        model = self.model.get((one.agent, one.job_id))
        return model if model is not None and model.schedule_id == one.schedule_id else None

    @invariant()
    def lists_what_is_armed(self) -> None:
        for agent in "ab":
            armed = self.do(self.store.armed(agent))
            assert {(one.job_id, one.dedup_key, one.schedule_id, one.wake_ms) for one in armed} == {
                (job, one.key, one.schedule_id, one.wake)
                for (owner, job), one in self.model.items()
                if owner == agent and not one.dead
            }

    @invariant()
    def knows_what_is_next(self) -> None:
        for busy in ([], ["a"]):
            told = self.do(self.store.next_due(busy))
            live = [(one.wake, a) for (a, _), one in self.model.items() if not one.dead]
            wake = min((wake for wake, agent in live if agent not in busy), default=None)
            if told != wake:  # sooner, and for a busy agent: then once, not again and again
                assert told is not None
                assert wake is None or told < wake
                assert told > self.asked

    @invariant()
    def shows_the_dead_for_a_week(self) -> None:
        dead = {(one.agent, one.job_id) for one in self.do(self.store.dead(self.now, 1000))}
        assert dead == self.shown()


class MemoryMachine(StoreMachine):
    """On the store in memory."""

    async def open(self) -> Store:
        return MemoryStore(chance=lambda: CHANCE)


class SqliteMachine(StoreMachine):
    """On SQLite; a crash keeps everything and hands back what was under way."""

    async def open(self) -> Store:
        self.scratch = tempfile.TemporaryDirectory(prefix="nas-store-")
        return await self.reopened()

    async def reopened(self) -> Store:
        path = Path(self.scratch.name) / "nas.db"
        return await SqliteStore.open(path, chance=lambda: CHANCE)

    @rule()
    @precondition(lambda self: self.model)
    def restarts(self) -> None:
        self.do(self.store.close())
        self.store = self.do(self.reopened())
        self.asked = -1
        for one in self.model.values():
            one.lease_until = None

    def teardown(self) -> None:
        super().teardown()
        self.scratch.cleanup()


@pytest.mark.parametrize("machine", [MemoryMachine, SqliteMachine])
def test_any_sequence_of_calls(machine: type[StoreMachine]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
