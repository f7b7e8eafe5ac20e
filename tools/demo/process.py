"""A program that serves: started until it says it is ready, stopped by its process id."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_START_LIMIT = 180.0
_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

# PR_SET_PDEATHSIG: what was started ends, by SIGTERM, with the thread that started it, also
# when that is killed. Linux alone has it. The threads of a pool last as long as the loop.
_TIED = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
hasattr(libc, "prctl") and libc.prctl(1, 15)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def tied(command: Sequence[str | Path]) -> list[str]:
    """A command that runs `command`, and has it end with the thread that starts it."""
    return [sys.executable, "-ISc", _TIED, *map(str, command)]


class ProcessError(Exception):
    """A program did not come up; the text says what it said last."""


class Served:
    """One program that can be started and stopped again and again; its output goes to `log`.

    `start` and `stop` block, and may run in different threads: a `stop` ends a `start`
    that still waits. The program leads a process group of its own, so Ctrl-C at a
    terminal does not reach it, and what it leaves behind ends with it.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        log: Path,
        ready: re.Pattern[str],
    ) -> None:
        """`ready` is searched for in every line of output."""
        self._command = [str(part) for part in command]
        self._environment = environment
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None
        self._started = self._seconds = 0.0
        self._closed = False
        self._spawning = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id; 0 while nothing runs."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    @property
    def running(self) -> bool:
        """Whether the process exists right now."""
        return self.pid != 0

    @property
    def seconds(self) -> float:
        """For how long it has run, over all its starts."""
        return self._seconds + (time.monotonic() - self._started if self._process else 0.0)

    def start(self) -> str:
        """Start it. Returns group 1 of `ready` or raises ProcessError."""
        self.stop()  # accounts for one that ended by itself
        with self._spawning:
            if self._closed:
                raise ProcessError(f"{self._name} is not started any more")
            process = self._process = self._spawn()
        said = _Said(process, self._log, self._ready)
        answer = said.wait(_START_LIMIT)
        if answer is None:
            self.stop()
            raise ProcessError(f"{self._name} did not come up:\n{self.last_words()}")
        return answer

    def close(self) -> None:
        """Stop it for good: a `start` that comes later raises ProcessError."""
        with self._spawning:
            self._closed = True
        self.stop()

    def stop(self) -> float:
        """SIGTERM, then SIGKILL, and wait for the end. Returns the seconds it had run."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        _signal(process, signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()
        _signal(process, signal.SIGKILL)
        ran = time.monotonic() - self._started
        self._seconds += ran
        return ran

    def last_words(self) -> str:
        """How its output ends."""
        return tail(self._log)

    @property
    def _name(self) -> str:
        return Path(self._command[0]).name

    def _spawn(self) -> subprocess.Popen[str]:
        self._started = time.monotonic()
        return subprocess.Popen(
            tied(self._command),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )


class _Said:
    """Reads what a process says, on a thread: into its log, and for the word of readiness."""

    def __init__(self, process: subprocess.Popen[str], log: Path, ready: re.Pattern[str]) -> None:
        self._process = process
        self._log = log
        self._ready = ready
        self._answer: str | None = None
        self._settled = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, limit: float) -> str | None:
        """What `ready` found, or None when the output ended or `limit` seconds passed."""
        self._settled.wait(limit)
        return self._answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, self._log.open("a", buffering=1) as log:
            for line in lines:
                log.write(line)
                if self._answer is None and (found := self._ready.search(line)):
                    self._answer = found[1]
                    self._settled.set()
        self._settled.set()


def tail(log: Path) -> str:
    """The last lines of a log; nothing when there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-12:]) if log.exists() else ""


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """To the process and its children: it leads a process group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
