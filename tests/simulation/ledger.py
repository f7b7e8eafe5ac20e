"""Which runs there were, and which of them broke a promise."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .store import Job

if TYPE_CHECKING:
    from .process import OsProcess
    from .world import World

EARLY_SECONDS: Final = 31.0
"""A run so long before its time is not of its own occurrence: it doubles the one before."""

RACE_SECONDS: Final = 1.0
"""Between our look at a job and hermes's claim somebody may give it another time. What runs
then is the occurrence it had, and hermes has no claim that could tell."""


class Ledger:
    """The runs of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runs = 0
        self.by_hand = 0
        self.doubles: list[str] = []
        self.forbidden: list[str] = []
        self.claims: Counter[tuple[Path, str, str]] = Counter()
        """How often each occurrence of a job was to be claimed."""
        self._seen: dict[tuple[Path, str, str], OsProcess] = {}
        self._over: set[tuple[Path, str, str]] = set()
        self._stopped: dict[tuple[Path, str], float] = {}
        self._moved: dict[tuple[Path, str], float] = {}

    def begin(
        self, process: OsProcess, home: Path, claimed: Job, seconds: float, *, by_hand: bool
    ) -> None:
        """A job's run has its first effect."""
        job_id, occurrence = str(claimed["id"]), str(claimed["occurrence"])
        self.runs += not by_hand
        self.by_hand += by_hand
        tell = self._world.story.tell
        how = " by hand" if by_hand else ""
        tell(process.name, "RUNS {} of {}, {:.0f} s{}", job_id, occurrence, seconds, how)
        key = home, job_id, occurrence
        early = datetime.fromisoformat(occurrence).timestamp() - claimed["clock"]
        if not by_hand:
            if key in self._seen and (self._seen[key].alive or key in self._over):
                self._broken(self.doubles, f"{job_id} runs again for {occurrence}")
            elif early > EARLY_SECONDS and not self._has_just_moved(home, claimed):
                self._broken(self.doubles, f"{job_id} runs {early:.0f} s early: a second time")
        self._seen[key] = process
        if self._stopped.get((home, job_id), claimed["moment"]) < claimed["moment"]:
            self._broken(self.forbidden, f"{job_id} runs, though paused or removed")

    def end(self, home: Path, claimed: Job) -> None:
        """Hermes knows that a run is over. What was killed before this it may run again, if it
        is a one-shot without a limit to its runs."""
        self._over.add((home, str(claimed["id"]), str(claimed["occurrence"])))

    def forget(self, home: Path, claimed: Job) -> None:
        """Hermes could not note that a run is over, and so may run it again."""
        self._seen.pop((home, str(claimed["id"]), str(claimed["occurrence"])), None)

    def changed(self, home: Path, job_id: str, action: str) -> None:
        """Somebody changed a job."""
        self._moved[home, job_id] = self._world.engine.now
        if action in ("pause", "remove"):
            self._stopped[home, job_id] = self._world.engine.now
        elif action in ("resume", "trigger"):
            self._stopped.pop((home, job_id), None)

    def forbid(self, what: str) -> None:
        """Something was done that is promised not to be."""
        self._broken(self.forbidden, what)

    def _has_just_moved(self, home: Path, claimed: Job) -> bool:
        moved = self._moved.get((home, str(claimed["id"])))
        return moved is not None and claimed["moment"] - moved < RACE_SECONDS

    def _broken(self, promises: list[str], what: str) -> None:
        promises.append(what)
        self._world.story.tell("PROMISE", "{}", what)
