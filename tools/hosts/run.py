"""Plays a job's life on a list of hermes releases, some of them at the same time."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from tests.support.agents import agent
from tests.support.hermes_env import HermesEnvironment
from tests.support.nas_process import NasProcess, nas_process
from tools.bootstrap import SetupError
from tools.hosts.environments import environment
from tools.hosts.life import FAILED, STEPS, Cell, Life, live
from tools.hosts.releases import Release
from tools.hosts.table import Row

Say = Callable[[str], None]


def try_all(names: Sequence[Sequence[Release]], jobs: int) -> list[Row]:
    """Try each of the releases that these names mean, `jobs` at a time, in their order."""
    progress = _Progress(len(names))
    with tempfile.TemporaryDirectory(prefix="chronos-hosts-") as directory:
        place = Path(directory)
        (place / "nas").mkdir()
        with nas_process(place / "nas") as nas, ThreadPoolExecutor(jobs) as pool:
            tried = [
                pool.submit(_try, candidates, nas, place / f"host-{number}", progress)
                for number, candidates in enumerate(names)
            ]
            return [each.result() for each in tried]


def _try(candidates: Sequence[Release], nas: NasProcess, place: Path, progress: "_Progress") -> Row:
    begun = time.monotonic()
    row = Row(str(candidates[0]), candidates[0].version)
    try:
        with progress.setting_up:
            release, name = environment(candidates)
        row = Row(str(release), release.version)
        _play(row, name, nas, place, lambda step: progress.say(f"{release.version} {step}"))
    except SetupError as error:
        row.setup_error = str(error)
    row.seconds = time.monotonic() - begun
    progress.end(row.summary())
    return row


def _play(row: Row, environment_name: str, nas: NasProcess, place: Path, say: Say) -> None:
    """Fill the cells of a row."""
    say("setting up")
    place.mkdir()
    made = HermesEnvironment.create(environment_name, place / "env")
    try:
        made.install_hook()
        with agent(nas, made, place / "home") as one, one.serving("gateway") as server:
            for step, cell in live(Life(one, server)):
                row.cells[step] = cell
                say(f"{step} {cell.state}")
    except Exception as error:
        failure = Cell(FAILED, f"{error}" or type(error).__name__)
        row.cells.update({step: row.cells.get(step, failure) for step in STEPS[:1]})
    row.cells.update({s: Cell("-", "not reached") for s in STEPS if s not in row.cells})


class _Progress:
    """What goes on, on stderr: on a terminal in a line of its own, and what has ended."""

    def __init__(self, total: int) -> None:
        self.setting_up = Lock()  # one progress line at a time
        self._total, self._ended, self._lock = total, 0, Lock()

    def say(self, text: str) -> None:
        if sys.stderr.isatty():
            with self._lock:
                line = f"{self._ended} of {self._total}  {text}"
                sys.stderr.write(f"\r\033[K{line[:79]}")
                sys.stderr.flush()

    def end(self, text: str) -> None:
        with self._lock:
            self._ended += 1
            clear = "\r\033[K" if sys.stderr.isatty() else ""
            print(f"{clear}{self._ended} of {self._total}  {text}", file=sys.stderr, flush=True)
