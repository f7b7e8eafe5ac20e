"""What the demo prints: a timeline for people, or JSON lines for programs."""

import json
import time
from datetime import UTC, datetime
from typing import TextIO

_COLOURS = {"armed": "36", "fired": "33", "woke": "33", "ran": "32", "at zero": "2"}


class Timeline:
    """Prints what happens, as it happens, with the seconds since it was made.

    Everything is told twice, once as a `line` and once as an `event`; which of them is
    printed is decided here. Colour is for terminals.
    """

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._terminal = out.isatty() and not as_json
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the timeline began."""
        return time.monotonic() - self._begun

    def note(self, text: str = "") -> None:
        """A line outside the timeline, for people."""
        if not self._as_json:
            self._print(text)

    def line(self, word: str, job: str, text: str) -> None:
        """One line of the timeline, for people: `word` says what happened to `job`."""
        if self._as_json:
            return
        shown = f"{word:<9}"
        if self._terminal and word in _COLOURS:
            shown = f"\033[{_COLOURS[word]}m{shown}\033[0m"
        self._print(f"{self.elapsed:6.1f} s  {shown} {job:<9} {text}".rstrip())

    def passing(self, text: str) -> None:
        """A line at a terminal that the next one takes the place of."""
        if self._terminal:
            print(f"\r\033[K\033[2m{self.elapsed:6.1f} s  {text}\033[0m", end="", file=self._out)
            self._out.flush()

    def event(self, kind: str, **facts: object) -> None:
        """One event, for programs."""
        if self._as_json:
            self._print(json.dumps({"event": kind, "elapsed_s": round(self.elapsed, 3), **facts}))

    def _print(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._terminal else text, file=self._out, flush=True)


def instant(ms: int) -> str:
    """An instant in an event, from milliseconds since the epoch: UTC, to the millisecond."""
    whole = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def clock(seconds: float) -> str:
    """An instant for people: the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def duration(ms: float) -> str:
    """A duration for people."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
