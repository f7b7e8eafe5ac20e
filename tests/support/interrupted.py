"""Stop, fork or break off code at a step of our choice."""

import dis
import os
import select
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Step = Callable[[], object]
PATIENCE = 60.0
"""Seconds for what takes a moment on an idle machine."""


@contextmanager
def at_every_line(packages: tuple[str, ...], step: Step) -> Iterator[None]:
    """Call `step` before every line of those packages in this thread."""

    def trace(frame: FrameType, what: str, arg: object) -> Any:
        if not _is_of(frame, packages):
            return None
        if what == "line":
            step()
        return trace

    with _tracing(trace):
        yield


@contextmanager
def at_every_signal(packages: tuple[str, ...], step: Step) -> Iterator[None]:
    """Call `step` wherever Python looks for signals, in the functions of those packages.

    That is where a function begins, behind every call, and where a loop jumps back: nowhere
    else does the exception of a signal's handler come up.
    """
    last: dict[int, str] = {}

    def trace(frame: FrameType, what: str, arg: object) -> Any:
        if not _is_of(frame, packages):
            return None
        frame.f_trace_opcodes = True
        if what == "return":
            last.pop(id(frame), None)
        elif what == "call":
            step()
        elif what == "opcode":
            now = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            before, last[id(frame)] = last.get(id(frame), ""), now
            if before.startswith("CALL") or now.startswith("JUMP_BACKWARD"):
                step()
        return trace

    with _tracing(trace):
        yield


def _is_of(frame: FrameType, packages: tuple[str, ...]) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in packages


@contextmanager
def _tracing(trace: Any) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


class Countdown:
    """Acts once, at a step counted from 0; counts how many there were."""

    def __init__(self, at: int, act: Step) -> None:
        self.at, self.act, self.steps = at, act, 0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == self.at + 1:
            self.act()


def in_child(act: Callable[[], object]) -> str:
    """Run it in a child of `fork`; returns what it returned as text, or what went wrong."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # to fork beside threads is the test
        child = os.fork()
    if child == 0:
        try:
            sys.settrace(None)
            said = str(act())
        except BaseException:
            said = traceback.format_exc()
        os.write(theirs, said.encode()[-4000:])
        os._exit(0)
    os.close(theirs)
    try:
        if not select.select([ours], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
            return "it hangs"
        return os.read(ours, 5000).decode()
    finally:
        os.waitpid(child, 0)
        os.close(ours)


class Paused:
    """Runs a call in a thread that stands still at one step, counted from 0."""

    def __init__(self, call: Callable[[], object], packages: tuple[str, ...], at: int) -> None:
        self._reached, self._go = threading.Event(), threading.Event()
        self.is_over = False
        self.result: object = None
        self._call, self._packages, self._at = call, packages, at
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._reached.wait(PATIENCE)

    def _run(self) -> None:
        def pause() -> None:
            self._reached.set()
            assert self._go.wait(PATIENCE)

        try:
            with at_every_line(self._packages, Countdown(self._at, pause)):
                self.result = self._call()
        except BaseException as error:
            self.result = error
        finally:
            self.is_over = not self._reached.is_set()
            self._reached.set()

    def finish(self) -> object:
        """Let it go on; returns what the call did."""
        self._go.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it hangs"
        return self.result
