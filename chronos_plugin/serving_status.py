"""What an agent's processes leave on disk for `chronos status`: who serves, and what fired.

One folder per agent. A process that serves holds a lock on a file of its own, so one that
died is never taken for one that lives, whatever became of its process id. The agent itself
reads nothing back, and does without when nothing can be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

FIRES_MAX: Final = 256 * 1024
"""Bytes of fires that are kept; when there are more, the last half of so many stays."""


class Running(NamedTuple):
    """A process that serves; `since` is in seconds since the epoch."""

    pid: int
    module: str
    version: str
    since: float


class Fired(NamedTuple):
    """The last fire of a job that was run: when it was due and when it came (epoch seconds)."""

    due: float
    at: float

    @property
    def lateness(self) -> float:
        """Seconds."""
        return self.at - self.due


class ServingStatus:
    """The records of one agent. Its folder is made when its parent is there."""

    def __init__(self, folder: Path) -> None:
        """Read and write nothing yet."""
        self.folder = folder
        self._fires = folder / "fires.jsonl"
        self._lock = threading.Lock()
        self._held: int | None = None

    def serve(self, module: str, version: str, now: float) -> None:
        """Say that this process serves, until it ends. Once; another call changes nothing."""
        with self._lock, contextlib.suppress(OSError, ImportError, ValueError):
            if self._held is None:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                self._sweep()
                said = Running(os.getpid(), module, version, now)
                file = self.folder / f"{said.pid}-{id(self):x}.json"
                self._held = hold(file, json.dumps(said._asdict()))

    def fired(self, job_id: str, due: float, at: float) -> None:
        """Note that a job's fire is run."""
        with contextlib.suppress(OSError, ValueError):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            with self._fires.open("a", encoding="utf-8") as file:  # a line at a time: whole
                file.write(json.dumps({"job_id": job_id, "due": due, "at": at}) + "\n")
            self._sweep_fires()

    def running(self) -> list[Running]:
        """The processes that serve now, oldest first."""
        alive = [said for file in self._processes() if not is_free(file) for said in _read(file)]
        one_each = {each["pid"]: Running(**each) for each in alive}
        return sorted(one_each.values(), key=lambda each: each.since)

    def fires(self) -> Mapping[str, Fired]:
        """The last fire of every job that had one, by job id."""
        found = {}
        for each in _read(self._fires):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                found[each["job_id"]] = Fired(float(each["due"]), float(each["at"]))
        return found

    def _processes(self) -> list[Path]:
        return list(self.folder.glob("*-*.json"))

    def _sweep(self) -> None:
        for file in self._processes():
            is_free(file, remove=True)
        self._sweep_fires()

    def _sweep_fires(self) -> None:
        if self._fires.exists() and self._fires.stat().st_size > FIRES_MAX:
            _, _, kept = self._fires.read_bytes()[-FIRES_MAX // 2 :].partition(b"\n")
            fresh = self._fires.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(kept)
            fresh.replace(self._fires)


def hold(path: Path, text: str) -> int:
    """Lock a file that nobody else locks for long, and fill it. Returns its descriptor."""
    import fcntl

    while True:
        file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:  # or it was swept before it was locked
            os.write(file, text.encode())
            return file
        os.close(file)


def is_free(path: Path, *, remove: bool = False) -> bool:
    """Whether no process holds a file, which is then removed if asked for."""
    import fcntl

    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if remove:
            path.unlink(missing_ok=True)
    return True


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that can be read, as JSON objects."""
    with contextlib.suppress(OSError):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                if isinstance(said := json.loads(line), dict):
                    yield said
