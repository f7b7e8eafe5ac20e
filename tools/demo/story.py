"""What the demo does and promises: two jobs, a machine at zero, and NAS waking it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import TypeVar

from nas_sdk._core.instants import parse_instant
from tools.demo.front import Answered, Arrived, AtZero, FrontEvent, Request, Up
from tools.demo.stage import Stage
from tools.demo.timeline import Timeline, clock, duration, instant

T = TypeVar("T")

WAKES = 3
"""How many wakes from zero the audience sees: the one-shot's, then the minute job's."""
_SOON = 9
"""Seconds from now to the one-shot, besides those the machine needs to create jobs."""
_LIMIT = 210.0
_BLINK = 1.0
_PATIENCE = 120.0
_POLL = 0.05


class PromiseBroken(Exception):  # noqa: N818 - it is a verdict, and reads as one
    """Something the demo promises did not happen; the text says what."""


@dataclass(slots=True)
class Job:
    """A cron job of the demo."""

    name: str
    id: str
    recurs: bool
    runs: int = 0


@dataclass(slots=True)
class Fire:
    """One arrival of a fire; times are milliseconds since the epoch."""

    job: Job
    due: int
    request: Request

    @property
    def fired(self) -> int:
        """When it arrived at the front."""
        return round(self.request.arrived * 1000)

    @property
    def lateness_ms(self) -> int:
        """From the job's due time to the fire's arrival."""
        return self.fired - self.due


@dataclass(slots=True)
class Story:
    """Tells on `timeline` what happens on `stage`."""

    stage: Stage
    timeline: Timeline
    jobs: dict[str, Job] = field(default_factory=dict)
    fires: list[Fire] = field(default_factory=list)
    next_due: dict[str, float] = field(default_factory=dict)

    async def play(self) -> None:
        """From the first job to the end. Raises PromiseBroken."""
        try:
            async with asyncio.timeout(_LIMIT):
                await self._create("minutely", "every 1m", recurs=True)
                seconds = _SOON + 4 * self.stage.cli_seconds
                soon = datetime.fromtimestamp(int(time.time() + seconds), UTC)
                await self._create("once", soon.isoformat(), recurs=False)
                await self._start_at_zero()
                while not await self._happened(await self._next_happening()):
                    pass
        except TimeoutError:
            text = f"saw {self._wakes} of {WAKES} wakes from zero in {_LIMIT:.0f} s"
            raise PromiseBroken(text) from None
        self._sum_up()

    @property
    def _wakes(self) -> int:
        return sum(fire.request.was_down for fire in self.fires)

    async def _create(self, name: str, schedule: str, *, recurs: bool) -> None:
        script = f"{name}.sh"
        self.stage.home.add_script(script, _SCRIPT)
        options = ["--name", name, "--no-agent", "--script", script, "--deliver", "local"]
        await self.stage.hermes("cron", "create", schedule, *options)
        known = self.stage.home.jobs()
        job_id = next(id for id, job in known.items() if job["name"] == name)
        job = self.jobs[job_id] = Job(name, job_id, recurs)
        await self._armed(job, after=0)

    async def _start_at_zero(self) -> None:
        if self.stage.machine.running:
            raise PromiseBroken("hermes was running before anything was due")
        armed = await self.stage.nas.list_armed()
        spare = " and the watchdog" if len(armed) > len(self.jobs) else ""
        text = f"no process; NAS keeps {len(self.jobs)} one-shots{spare}"
        self.timeline.line("at zero", "hermes", text)
        self.timeline.note()
        self.timeline.event("at_zero", armed=len(armed))

    async def _next_happening(self) -> FrontEvent:
        while True:
            try:
                async with asyncio.timeout(_BLINK):
                    return await self.stage.happenings.get()
            except TimeoutError:
                self._tell_the_time()

    def _tell_the_time(self) -> None:
        if not self.stage.machine.running:
            left = min(self.next_due.values(), default=0) - time.time()
            self.timeline.passing(f"nothing runs; next wake in {max(left, 0):.0f} s")

    async def _happened(self, event: FrontEvent) -> bool:
        """Tell of one event. Returns whether it was the last."""
        match event:
            case Arrived(request):
                self._fired(request)
            case Up(request, held_ms):
                self._woke(request, held_ms)
            case Answered(request, status):
                await self._answered(request, status)
            case AtZero(ran):
                self.timeline.line("at zero", "hermes", f"stopped after {ran:.1f} s")
                self.timeline.note()
                self.timeline.event("at_zero", ran_s=round(ran, 3))
                return self._wakes >= WAKES
        return False

    def _fired(self, request: Request) -> None:
        body = json.loads(request.body)
        job = self.jobs.get(body["job_id"])
        if job is None:
            raise PromiseBroken(f"NAS fired {body['job_id']}, which is no job of the demo")
        fire = Fire(job, parse_instant(body["fire_at"]), request)
        self.fires.append(fire)
        self.next_due.pop(job.id, None)
        agent = "the agent was down" if request.was_down else "the agent was up"
        text = f"{duration(fire.lateness_ms)} after it was due; {agent}"
        self.timeline.line("fired", job.name, text)

    def _woke(self, request: Request, held_ms: int) -> None:
        fire = self._fire_of(request)
        if request.was_down:
            self.timeline.line("woke", "hermes", f"in {duration(held_ms)}")
        self.timeline.event(
            "fired",
            job=fire.job.name,
            job_id=fire.job.id,
            due=instant(fire.due),
            fired=instant(fire.fired),
            lateness_ms=fire.lateness_ms,
            agent_was_down=request.was_down,
            woke_ms=held_ms,
        )

    async def _answered(self, request: Request, status: int) -> None:
        fire = self._fire_of(request)
        if status != 202:
            self.timeline.line("refused", fire.job.name, f"with {status}; NAS tries again")
            self.timeline.event("refused", job=fire.job.name, status=status)
            return
        await self._ran(fire.job)
        if fire.job.recurs:
            await self._armed(fire.job, after=fire.due)
        else:
            await self._done(fire.job)

    async def _ran(self, job: Job) -> None:
        async def output() -> str | None:
            printed = self.stage.home.outputs(job.id)
            return printed[-1] if len(printed) > job.runs else None

        said = await _eventually(output, f"{job.name} left no output of its run")
        job.runs += 1
        self.timeline.line("ran", job.name, f'"{said}"')
        self.timeline.event("ran", job=job.name, output=said)

    async def _armed(self, job: Job, after: int) -> None:
        async def next_due() -> int | None:
            due = (await self._armed_instants()).get(job.id, 0)
            return due if due > after else None

        due_ms = await _eventually(next_due, f"{job.name} was not armed at NAS")
        due = self.next_due[job.id] = due_ms / 1000
        again = "again, " if after else ""
        text = f"{again}at NAS: due at {clock(due)}, in {due - time.time():.0f} s"
        self.timeline.line("armed", job.name, text)
        self.timeline.event("armed", job=job.name, job_id=job.id, fire_at=instant(due_ms))

    async def _done(self, job: Job) -> None:
        async def gone() -> bool | None:
            return job.id not in await self._armed_instants() or None

        await _eventually(gone, f"{job.name} ran, but NAS still keeps a one-shot of it")
        self.timeline.line("done", job.name, "it was to run once: nothing is armed for it")
        self.timeline.event("done", job=job.name)

    async def _armed_instants(self) -> dict[str, int]:
        armed = await self.stage.nas.list_armed()
        return {item.job_id: parse_instant(item.fire_at) for item in armed}

    def _fire_of(self, request: Request) -> Fire:
        return next(fire for fire in self.fires if fire.request is request)

    def _sum_up(self) -> None:
        late = [fire.lateness_ms for fire in self.fires]
        wall, ran = self.timeline.elapsed, self.stage.hermes_seconds
        self.timeline.note(
            f"{self._wakes} wakes from zero. Fires came {median(late):.0f} ms after they were due "
            f"(p50), {max(late)} ms at most."
        )
        self.timeline.note(
            f"hermes was running {ran:.0f} of {wall:.0f} s: for {wall - ran:.0f} s there was none."
        )
        self.timeline.event(
            "summary",
            wakes=self._wakes,
            lateness_p50_ms=round(median(late)),
            lateness_max_ms=max(late),
            hermes_s=round(ran, 1),
            wall_s=round(wall, 1),
        )


_SCRIPT = 'echo "run" >>"$0.runs"\necho "run $(wc -l <"$0.runs"), in hermes process $PPID"\n'


async def _eventually(attempt: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    """The first answer of `attempt` that is not None. Raises PromiseBroken(`otherwise`)."""
    deadline = time.monotonic() + _PATIENCE
    while (answer := await attempt()) is None:
        if time.monotonic() > deadline:
            raise PromiseBroken(f"{otherwise} within {_PATIENCE:.0f} s")
        await asyncio.sleep(_POLL)
    return answer
