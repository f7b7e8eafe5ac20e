"""What people do: they make, pause, resume, edit, remove and run jobs at any moment."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from . import hermes

if TYPE_CHECKING:
    from .process import OsProcess
    from .store import Store
    from .world import World

ACTIONS: Final = ("create", "pause", "resume", "edit", "remove", "run", "trigger")
RARE_ACTIONS: Final = ("repeat", "reboot")
INTERVALS: Final = (180.0, 300.0, 600.0, 900.0, 3600.0)
PATIENCE_SECONDS: Final = 60.0
"""How long somebody who was told that something is not armed waits before trying again."""

MOST_JOBS: Final = 6
"""Jobs per home. With more, the SDK sends in real threads of its own."""


@attrs.frozen
class Deed:
    """One thing that somebody does."""

    at: float
    action: str
    home: int
    where: str
    """`prompt`: a command. `server`: hermes's tool in the first server. `rest`: the
    dashboard's own pages, which tell the provider nothing."""


def draw(chance: random.Random, start: float, until: float, homes: int) -> tuple[Deed, ...]:
    """What people will do between these times."""
    deeds = []
    for _ in range(chance.choice((0, 2, 5, 9))):
        where = chance.choice(("prompt", "prompt", "server", "rest"))
        at = chance.uniform(start, until)
        action = chance.choice(RARE_ACTIONS if chance.random() < 0.15 else ACTIONS)
        deeds.append(Deed(at, action, chance.randrange(homes), where))
    return tuple(sorted(deeds, key=lambda deed: deed.at))


class People:
    """The people of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._machine = world.machine

    def plan(self, deeds: tuple[Deed, ...]) -> None:
        """Have all this happen when it is time."""
        for deed in deeds:
            self._world.engine.at(deed.at, functools.partial(self._come, deed))

    def set_up(self, home: Path, jobs: int) -> None:
        """Make the jobs there are at the beginning."""
        for _ in range(jobs):
            self.at_prompt(home, "create")

    def converge(self) -> None:
        """Somebody looks after the agent, and has it converge everywhere."""
        for home in self._machine.homes:
            self.at_prompt(home, "reconcile")

    def _come(self, deed: Deed) -> None:
        shape = self._machine.shape
        home = self._machine.homes[deed.home]
        if deed.action == "reboot":
            self._machine.stop_by_hand()
            self._machine.wake(lambda: None)
        elif not self._is_noticed(home) and (deed.action == "run" or deed.where == "rest"):
            self.at_prompt(home, "create")
        elif deed.where == "prompt":
            self.at_prompt(home, deed.action)
        else:
            silent = deed.where == "rest" and "dashboard" in shape.servers
            self._machine.wake(lambda: self._at_server(home, deed.action, silent))

    def _is_noticed(self, home: Path) -> bool:
        """Whether a change of the store that nobody tells of is noticed all the same."""
        return "gateway" in self._machine.shape.servers and home == self._machine.homes[0]

    # At the prompt.

    def at_prompt(self, home: Path, action: str, **given: Any) -> None:
        """Somebody enters a command, once the machine is on; `given` is a job's schedule."""
        self._machine.wake(lambda: self._command(home, action, given))

    def _command(self, home: Path, action: str, given: Mapping[str, Any]) -> None:
        process = self._machine.command(home)

        process.on_killed = functools.partial(self._try_again, home)

        def command() -> None:
            self._world.engine.rest(self._world.chance.uniform(0.2, 1.0))
            self._act(process, action, given, silent=False)
            if process.warned and action == "reconcile":
                self._try_again(home)
            elif process.warned:
                self._is_unsure(home)
            self._machine.end(process)

        self._world.engine.spawn(process, command, action)

    def _is_unsure(self, home: Path) -> None:
        """Somebody was told that something is not armed, and by whom; they make sure in the end."""
        gateways = [each for each in self._machine.processes if each.kind == "gateway"]
        if not (gateways and self._is_noticed(home)):
            self._try_again(home)
            return

        def look(times: int) -> None:
            if gateways[0].alive and times:
                engine.at(engine.now + PATIENCE_SECONDS, lambda: look(times - 1))
            else:
                self._try_again(home)

        engine = self._world.engine
        look(5)

    def _try_again(self, home: Path) -> None:
        """Somebody whose command came to nothing tries again in a while."""
        self._world.note_event()
        later = self._world.engine.now + PATIENCE_SECONDS
        self._world.engine.at(later, lambda: self.at_prompt(home, "reconcile"))

    # In a server.

    def _at_server(self, home: Path, action: str, silent: bool) -> None:
        servers = [each for each in self._machine.processes if each.kind != "command"]
        if not servers:
            return
        process = servers[-1 if silent else 0]
        if process.kind == "gateway":
            home = process.home

        def leave() -> None:
            engine = self._world.engine
            chaos = self._world.chaos
            if chaos.is_down(engine.now) or chaos.refusal(engine.now):
                engine.at(engine.now + PATIENCE_SECONDS, leave)
            else:
                process.on_killed = lambda: None

        def work() -> None:
            process.work_on(home)
            self._act(process, action, {}, silent=silent)
            # A server converges behind their back. Who sees it die meanwhile comes back.
            self._world.engine.at(self._world.engine.now + PATIENCE_SECONDS, leave)

        process.on_killed = functools.partial(self._try_again, home)
        process.background(work, action)

    # Anywhere.

    def _act(
        self, process: OsProcess, action: str, given: Mapping[str, Any], *, silent: bool
    ) -> None:
        self._world.note_event()
        try:
            self._do(process, action, given, silent)
        except (RuntimeError, TypeError) as error:
            self._world.story.tell(process.name, "says: {}", error)
            process.warned = True

    def _do(self, process: OsProcess, action: str, given: Mapping[str, Any], silent: bool) -> None:
        brain, world = process.brain, self._world
        if action == "reconcile":
            world.story.tell(process.name, "reconcile")
            brain.reconcile()
            return
        store = process.store()
        if store.lost:
            world.story.tell(process.name, "finds no jobs")
            return
        if action == "create" and len(store.records) < MOST_JOBS:
            job = store.create(world.new_job_id(), **(given or self._schedule()))
            world.story.tell(process.name, "create {} for {}", job["id"], job["next_run_at"])
            if not silent:
                brain.created(dict(job))
            return
        known = list(store.records)
        if not known:
            return
        action = "edit" if action == "create" else action
        job_id = world.chance.choice(known)
        world.story.tell(process.name, "{} {}{}", action, job_id, ", silently" if silent else "")
        if action == "run":
            self._run_by_hand(process, job_id)
            return
        if action == "edit":
            getattr(store, action)(job_id, **(given or self._another_schedule(store, job_id)))
        else:
            getattr(store, action)(job_id)
        world.ledger.changed(process.current_home(), job_id, action)
        if not silent:
            brain.changed()

    def _another_schedule(self, store: Store, job_id: str) -> dict[str, float]:
        if store.records[job_id]["every"]:
            return {"every": self._world.chance.choice(INTERVALS)}
        return {"within": self._world.chance.uniform(60, 2000)}

    def _run_by_hand(self, process: OsProcess, job_id: str) -> None:
        """By the provider's own door, where the host has one for it, or past the provider."""
        keywords = self._machine.shape.host.keywords
        if keywords and self._world.chance.random() < 0.5:
            claimed = process.brain.claim(job_id, **{keywords[-1]: True})
            if claimed is not None:
                process.brain.run_claimed(claimed)
            return
        claimed = hermes.claim(process, job_id)
        if claimed is not None:
            hermes.run(process, claimed, by_hand=True)

    def _schedule(self) -> dict[str, Any]:
        chance = self._world.chance
        if chance.random() < 0.25:
            return {"within": chance.uniform(30, 1500), "times": chance.choice((1, 1, 0))}
        return {"every": chance.choice(INTERVALS), "times": chance.choice((0, 0, 0, 2))}
