"""doctor: one job all the way: armed at NAS, fired, claimed, run and armed again."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from nas_sdk.errors import NasError

from .findings import Finding, ok, problem, skipped
from .fire_subject import Subject, SubjectError
from .formatting import length

STEPS = ("job", "armed", "fired", "claimed", "ran", "armed again")
LEAD_SECONDS = 8.0
"""How far ahead the fire is set, so that it is seen armed."""
PATIENCE_SECONDS = 90.0
"""For a step of hermes or NAS, beside the run."""
RUN_SECONDS = 600.0
"""For the run: a person's job may take long."""
# What follows in later lines, as a traceback does, is of the record above it.
_RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\d )", re.MULTILINE)
_POLL_SECONDS = 0.3
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_when_told() -> None:
    """Have signals end this process by an exception, so that what was made is removed."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def all_the_way(subject: Subject, log: Path) -> Iterator[Finding]:
    """Fire a job, and say each step. Whatever ends this, the job is removed or put back."""
    seen = log.stat().st_size if log.exists() else 0
    done: list[str] = []
    left = None
    try:
        for finding in _Way(subject, log, seen).steps():
            done.append(finding.check)
            yield finding
    finally:
        with _undisturbed():
            left = subject.end()
    for step in STEPS:
        if step not in done:
            yield skipped(step, "the step before it comes first")
    if left:
        yield left
    elif subject.is_ours and subject.job_id:
        yield ok("removed", f"job {subject.job_id} is gone, here and at NAS")


class _Way:
    """The steps of one fire; the first that fails is the last."""

    def __init__(self, subject: Subject, log: Path, seen: int) -> None:
        self._subject, self._log, self._seen = subject, log, seen
        self._step = STEPS[0]

    def steps(self) -> Iterator[Finding]:
        try:
            yield from self._steps()
        except SubjectError as error:
            yield error.finding
        except _LateError as late:
            yield problem(self._step, f"{late}{self._said()}", late.fix)
        except NasError as error:
            yield problem(self._step, str(error), "see what is said of NAS above")

    def _steps(self) -> Iterator[Finding]:
        subject, hint = self._subject, f"look for the reason in {self._log}"
        subject.begin()
        kind = "of our own, without a model or a delivery" if subject.is_ours else "one of yours"
        yield ok("job", f"{subject.name} ({subject.job_id}), {kind}")

        self._step = "armed"
        at = datetime.fromtimestamp(int(time.time() + LEAD_SECONDS), UTC)
        due = at.timestamp()
        subject.make_due(at.isoformat())
        self._await(lambda: subject.armed() == due, 0.0, "NAS does not list it", hint)
        yield ok("armed", f"NAS is to fire it {length(LEAD_SECONDS)} from now")

        self._step = "fired"
        patience = due - time.time() + PATIENCE_SECONDS
        self._await(lambda: subject.armed() != due, patience, "hermes takes no fire", hint)
        yield ok("fired", f"NAS's fire was taken {length(max(0.0, time.time() - due))} after it")

        self._step = "claimed"

        def claimed() -> bool:
            return subject.next_run() != due or subject.has_run()

        self._await(claimed, PATIENCE_SECONDS, "hermes has not claimed it", hint)
        yield ok("claimed", "hermes has claimed it")

        self._step = "ran"
        self._await(subject.has_run, RUN_SECONDS, "its run has not ended", hint)
        record = subject.record()
        if record.get("last_status") != "ok":
            why = record.get("last_error") or record.get("last_status")
            raise _LateError(f"the run failed: {why}", hint)
        yield ok("ran", "it has run, and ended well")

        self._step = "armed again"
        fix = "run `chronos reconcile`; a running gateway does so by itself"

        def again() -> bool:
            return subject.armed() == subject.next_run() is not None

        self._await(again, PATIENCE_SECONDS, "NAS does not have its next time", fix)
        yield ok("armed again", "NAS has its next time")

    def _await(self, met: Callable[[], bool], patience: float, what: str, fix: str) -> None:
        give_up = time.monotonic() + patience
        while not met():
            if time.monotonic() >= give_up:
                raise _LateError(what, fix)
            time.sleep(_POLL_SECONDS)

    def _said(self) -> str:
        """The last that hermes has logged of this job, or as an error, since this began."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._seen)
            records = _RECORD.split(file.read().decode("utf-8", "replace"))
        bad = [each for each in records if " WARNING " in each or " ERROR " in each]
        of_it = [each for each in bad if self._subject.job_id in each] or bad
        if not of_it:
            return ""
        first, *trace = of_it[-1].strip().splitlines()
        told = first.partition(": ")[2][:300]
        return f"; hermes says: {told}{f': {trace[-1].strip()[:300]}' if trace else ''}"


class _LateError(Exception):
    """A step has not come, or not well."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off what a person or the system says meanwhile; it takes a moment."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
