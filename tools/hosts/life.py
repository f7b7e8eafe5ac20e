"""One job's life on one hermes release, step by step, with a real gateway and a real NAS."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from nas_sdk._core.instants import parse_instant
from tests.support.agents import Agent
from tests.support.hermes_env import run
from tests.support.hermes_host import HermesServer, created, eventually
from tests.support.recorder import Seen

SOON = 4.0
"""Seconds until a job is made due: longer than a command takes on an idle machine."""
_AFTER_RETRY = 150.0
"""Seconds: NAS tries again what a paused hermes refused when it was told to, after 60 s."""
_NOISE = re.compile(r"SQLite|invalid token|token is no JWT|Shutdown context")
_TOLD = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|\w+Error\b|✗")


class LacksError(Exception):
    """This host has no such thing; the text says what it answered."""


@dataclass
class Life:
    """An agent whose gateway runs, and the ids of its jobs by their names."""

    agent: Agent
    server: HermesServer
    jobs: dict[str, str] = field(default_factory=dict)

    def load(self) -> None:
        """The gateway and the command line have loaded ours."""
        eventually(lambda: self.server.loaded().provider, "a cron provider in the gateway")
        loaded = self.server.loaded()
        assert loaded.is_ours(), f"the gateway runs {loaded.provider}"
        self.agent.hermes.cli("cron", "list")

    def verify(self) -> None:
        """A fire with a forged token is refused, by us."""
        answer = self.server.fire("no-token", "0123456789ab", "2026-06-18T12:34:56Z")
        assert answer.status_code == 401, f"{answer.status_code} {answer.text}"
        loaded = self.server.loaded()
        assert loaded.verifier, "no verifier was loaded"
        assert loaded.is_ours(), f"the verifier is that of {loaded.verifier}"

    def pause_all(self) -> None:
        """While hermes is paused a fire is put off; `run_after_pause` sees it run."""
        paused = self.agent.hermes.try_cli("pause")
        if paused.returncode:
            told = _last_line(paused.stderr) or _last_line(paused.stdout)
            raise LacksError(told.partition(" (choose from")[0])
        try:
            job = self._create("held", _in_seconds(SOON))
            fire = self._fire(job)
            assert fire.status == 503, f"answered {_answer(fire)}"
        finally:
            self.agent.hermes.cli("resume")

    def run_after_pause(self) -> None:
        """What came due during the pause runs after it, once."""
        self._await_run("held", _AFTER_RETRY)

    def create(self) -> None:
        """A command makes a job."""
        self._create("life", "every 1m")

    def arm(self) -> None:
        """NAS has its time."""
        self._await_armed("life")

    def fire(self) -> None:
        """NAS's fire is accepted."""
        self.agent.make_due(self.jobs["life"], SOON)
        fire = self._fire(self.jobs["life"])
        assert fire.status == 202, f"answered {_answer(fire)}"

    def run(self) -> None:
        """The job runs, once."""
        self._await_run("life")

    def re_arm(self) -> None:
        """NAS has its next time."""
        fired = parse_instant(self.agent.fires(self.jobs["life"])[0].json()["fire_at"])
        self._await_armed("life", after=fired)

    def pause(self) -> None:
        """`hermes cron pause` takes it back."""
        job = self.jobs["other"] = self._create("other", "every 1h")
        self._await_armed("other")
        self.agent.hermes.cli("cron", "pause", job)
        eventually(lambda: job not in self.agent.armed(), "the end of its one-shot")

    def resume(self) -> None:
        """`hermes cron resume` arms it again."""
        self.agent.hermes.cli("cron", "resume", self.jobs["other"])
        self._await_armed("other")

    def direct(self) -> None:
        """`hermes cron run` runs it, once, and its next time is armed."""
        self.agent.hermes.cli("cron", "run", self.jobs["other"])
        self._await_run("other")
        self._await_armed("other")

    def remove(self) -> None:
        """`hermes cron remove` takes it back."""
        self.agent.hermes.cli("cron", "remove", self.jobs["other"])
        eventually(lambda: self.jobs["other"] not in self.agent.armed(), "the end of its one-shot")

    def doctor(self) -> None:
        """`chronos doctor` finds nothing."""
        python = str(self.agent.hermes.environment.python)
        command = [python, "-P", "-m", "chronos_plugin.cli", "doctor"]
        done = run(command, self.agent.hermes.variables())
        problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
        assert done.returncode == 0, "; ".join(problems) or done.stderr

    def _create(self, name: str, schedule: str) -> str:
        """Create a job, and say no more than its id when hermes has said it did."""
        done = self.agent.hermes.cli(*self.agent.hermes.creation(name, schedule))
        self.jobs[name] = created(done)
        return self.jobs[name]

    def _await_armed(self, name: str, after: int = 0) -> None:
        job = self.jobs[name]

        def armed() -> bool:
            at = self.agent.armed().get(job, 0)
            return at > after and at == self.agent.due(job)

        eventually(armed, f"the one-shot of {job} at NAS")

    def _await_run(self, name: str, patience: float = 120.0) -> None:
        hermes = self.agent.hermes
        eventually(lambda: hermes.runs(name) >= 1, f"a run of {self.jobs[name]}", patience)
        assert hermes.runs(name) == 1, f"{hermes.runs(name)} runs"

    def _fire(self, job: str) -> Seen:
        """The first fire that NAS sends for a job."""
        return eventually(lambda: self.agent.fires(job), f"a fire of {job} from NAS")[0]


@dataclass(frozen=True)
class Step:
    """One thing to try: what it needs to have gone well before, and how it is called."""

    name: str
    act: Callable[[Life], None]
    needs: tuple[str, ...] = ()


PAUSE_ALL = "pause all"
"""`hermes pause`, as the table calls it."""
_PLAYED = (
    Step("load", Life.load),
    Step("verify", Life.verify),
    Step(PAUSE_ALL, Life.pause_all),
    Step("create", Life.create),
    Step("arm", Life.arm, ("create",)),
    Step("fire", Life.fire, ("create",)),
    Step("run", Life.run, ("fire",)),
    Step("re-arm", Life.re_arm, ("run",)),
    Step("pause", Life.pause),
    Step("resume", Life.resume, ("pause",)),
    Step("direct", Life.direct, ("resume",)),
    Step("remove", Life.remove, ("resume",)),
    Step(PAUSE_ALL, Life.run_after_pause, (PAUSE_ALL,)),
    Step("doctor", Life.doctor),
)
"""In the order they are played; what is told to wait has a minute for itself."""
STEPS = (
    *("load", "verify", "create", "arm", "fire", "run", "re-arm"),
    *("pause", "resume", "remove", "direct", PAUSE_ALL, "doctor"),
)
"""In the order they are shown."""
OK, FAILED, LACKING, NOT_TRIED = "ok", "FAIL", "n/a", "-"


@dataclass(frozen=True)
class Cell:
    """How a step went: one of `OK`, `FAILED`, `LACKING`, `NOT_TRIED`, and why."""

    state: str
    reason: str = ""
    said: tuple[str, ...] = ()
    """What hermes has said in the meantime, where it failed."""


def live(life: Life, steps: Sequence[Step] = _PLAYED) -> Iterator[tuple[str, Cell]]:
    """Play every step that can be, and say how each went. The last word on a name counts."""
    states: dict[str, str] = {}
    for step in steps:
        lacking = next((need for need in step.needs if states.get(need) != OK), "")
        if step.name in states and lacking:
            continue
        cell = Cell(NOT_TRIED, f"after {lacking}") if lacking else _try(step, life)
        states[step.name] = cell.state
        yield step.name, cell


def _try(step: Step, life: Life) -> Cell:
    log = life.agent.hermes.home.root / "gateway.log"
    before = len(log.read_text(errors="replace"))
    try:
        step.act(life)
    except LacksError as lacking:
        return Cell(LACKING, str(lacking))
    except Exception as error:
        said = log.read_text(errors="replace")[before:].splitlines()
        told = [line for line in said if _TOLD.search(line) and not _NOISE.search(line)]
        return Cell(FAILED, f"{error}" or type(error).__name__, tuple(told[-3:]))
    return Cell(OK)


def _in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _answer(fire: Seen) -> str:
    return f"{fire.status} {fire.answer.decode(errors='replace')}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
