"""The demo's verdict: what it tells, and that it does not pass when a promise is broken."""

import asyncio
import io
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nas_sdk.testing import InMemoryNas
from tools.demo import story
from tools.demo.front import Answered, Arrived, AtZero, FrontEvent, Request, Up
from tools.demo.home import AgentHome
from tools.demo.process import Served
from tools.demo.stage import Stage
from tools.demo.story import PromiseBroken, Story
from tools.demo.timeline import Timeline


class Script(Stage):
    """A stage on which nothing real runs: jobs are files, and fires come from the test."""

    arms = True
    outputs = 9
    """How many runs leave one."""
    rearms = True

    async def hermes(self, *arguments: str) -> None:
        name = arguments[arguments.index("--name") + 1]
        store = self.home.hermes / "cron" / "jobs.json"
        store.parent.mkdir(exist_ok=True)
        jobs = [*self.home.jobs().values(), {"id": f"id-{name}", "name": name}]
        store.write_text(json.dumps({"jobs": jobs}))
        if self.arms:
            await self.arm(f"id-{name}", 60)

    async def arm(self, job_id: str, seconds: float) -> None:
        at = datetime.fromtimestamp(time.time() + seconds, UTC)
        await self.nas.provision(job_id, at, "http://127.0.0.1:1")

    async def wake(self, job_id: str) -> list[FrontEvent]:
        """What the front tells of one wake, with what hermes does in it done already."""
        fire_at = datetime.now(UTC).isoformat()
        body = json.dumps({"job_id": job_id, "fire_at": fire_at}).encode()
        request = Request("/api/cron/fire", body, time.time(), was_down=True)
        place = self.home.hermes / "cron" / "output" / job_id
        place.mkdir(parents=True, exist_ok=True)
        self.outputs -= 1
        if self.outputs >= 0:
            (place / f"{time.time_ns()}.md").write_text("# Job\n\n---\n\nhello\n")
        if job_id == "id-once" or not self.rearms:
            await self.nas.cancel(job_id)
        return [Arrived(request), Up(request, 2000), Answered(request, 202), AtZero(5.0)]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "_PATIENCE", 0.1)
    monkeypatch.setattr(story, "_LIMIT", 30.0)


@pytest.fixture
def stage(tmp_path: Path) -> Script:
    home = AgentHome(tmp_path)
    home.hermes.mkdir()
    machine = Served(["false"], {}, tmp_path / "log", re.compile("(x)"))
    return Script(tmp_path, home, machine, InMemoryNas().async_client(), asyncio.Queue())


class Wakes(asyncio.Queue[FrontEvent]):
    """Has the next wake happen when the story has nothing left to tell of."""

    def __init__(self, stage: Script, job_ids: tuple[str, ...]) -> None:
        super().__init__()
        self._stage = stage
        self._job_ids = list(job_ids)

    async def get(self) -> FrontEvent:
        if self.empty() and self._job_ids:
            for event in await self._stage.wake(self._job_ids.pop(0)):
                self.put_nowait(event)
        return await super().get()


async def play(stage: Script, *job_ids: str) -> list[dict[str, object]]:
    """Play the story with a wake for each of these jobs. Returns the events told."""
    stage.happenings = Wakes(stage, job_ids)
    out = io.StringIO()
    await Story(stage, Timeline(out, as_json=True)).play()
    return [json.loads(line) for line in out.getvalue().splitlines()]


async def test_three_wakes_are_told_of(stage: Script) -> None:
    told = await play(stage, "id-once", "id-minutely", "id-minutely")

    kinds = [event["event"] for event in told]
    assert kinds[:3] == ["armed", "armed", "at_zero"]
    assert kinds[3:7] == ["fired", "ran", "done", "at_zero"]
    assert kinds[7:11] == ["fired", "ran", "armed", "at_zero"]
    assert kinds[-1] == "summary"
    fired = told[3]
    assert fired["job_id"] == "id-once"
    assert (fired["agent_was_down"], fired["woke_ms"]) == (True, 2000)
    assert {"due", "fired", "lateness_ms"} <= fired.keys()
    assert told[4]["output"] == "hello"
    assert told[-1]["wakes"] == 3


async def test_a_job_that_is_not_armed(stage: Script) -> None:
    stage.arms = False
    with pytest.raises(PromiseBroken, match="minutely was not armed at NAS within"):
        await play(stage)


async def test_a_run_without_output(stage: Script) -> None:
    stage.outputs = 1
    with pytest.raises(PromiseBroken, match="minutely left no output of its run within"):
        await play(stage, "id-minutely", "id-minutely")


async def test_a_run_after_which_nothing_is_armed(stage: Script) -> None:
    stage.rearms = False
    with pytest.raises(PromiseBroken, match="minutely was not armed at NAS within"):
        await play(stage, "id-minutely")


async def test_too_few_wakes(stage: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "_LIMIT", 0.3)
    with pytest.raises(PromiseBroken, match="saw 1 of 3 wakes from zero"):
        await play(stage, "id-once")


async def test_a_fire_for_nobody(stage: Script) -> None:
    with pytest.raises(PromiseBroken, match="NAS fired id-stranger"):
        await play(stage, "id-stranger")
