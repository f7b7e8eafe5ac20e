"""Run tests again and again while the machine is busy, or once in each odd circumstance."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tools.bootstrap import ROOT
from tools.demo.process import tied

PARALLEL = str(2 * (os.cpu_count() or 1))
"""Processes that run tests: half of the time, they wait for what other processes do."""
_FAKETIME = ("libfaketimeMT.so.1", "libfaketime.so.1")


@dataclass(frozen=True)
class Circumstance:
    """What is odd about a run: variables, pytest arguments, and where it takes place."""

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    directory: str = ""
    """The name of a directory that holds a copy of the checkout; empty for the checkout."""


def pytest_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs tests; whoever picks some sees their output as it comes."""
    narrowed = any(not argument.startswith("-") for argument in arguments)
    spread = () if narrowed else ("-n", PARALLEL, "--dist", "worksteal")
    return [sys.executable, "-m", "pytest", *spread, *arguments]


def repeat(rounds: int, arguments: Sequence[str]) -> bool:
    """Run tests so many times while all cores are busy. Returns whether any failed once."""
    failures: Counter[str] = Counter()
    broken = 0
    with tempfile.TemporaryDirectory(prefix="rounds-") as scratch, _busy_cores():
        for number in range(1, rounds + 1):
            report = Path(scratch) / f"{number}.xml"
            begun = time.monotonic()
            spread = ["-n", PARALLEL, "--dist", "worksteal", f"--junitxml={report}"]
            command = [sys.executable, "-m", "pytest", *spread, "--tb=short", *arguments]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            failed = _failed(report)
            failures.update(failed)
            broken += done.returncode != 0
            took = f"{time.monotonic() - begun:.0f} s"
            print(f"round {number} of {rounds}: {len(failed)} failed, {took}", flush=True)
            if done.returncode:
                print(done.stdout, flush=True)
    for name, count in failures.most_common():
        print(f"{'flaky' if count < rounds else 'fails'}: {name} failed in {count} of {rounds}")
    print(f"{rounds} rounds with {os.cpu_count()} busy cores, {broken} of them failed")
    return broken > 0


def odd(arguments: Sequence[str]) -> bool:
    """Run tests in each odd circumstance. Returns whether any failed."""
    failed = []
    for each in _circumstances():
        print(f"--- {each.name}", flush=True)
        if _fails(each, arguments):
            failed.append(each.name)
    if not _faketime():
        failed.append("a clock an hour off: needs libfaketime (apt-get install libfaketime)")
    print("odd circumstances: " + (f"failed: {'; '.join(failed)}" if failed else "all good"))
    return bool(failed)


def _circumstances() -> Iterator[Circumstance]:
    yield Circumstance("a time zone a day ahead", {"TZ": "Pacific/Kiritimati"})
    yield Circumstance("a time zone of half hours", {"TZ": "America/St_Johns"})
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    yield Circumstance("a locale that knows ASCII alone", ascii_only)
    if library := _faketime():
        for way in ("+1h", "-1h"):
            fake = {"LD_PRELOAD": library, "FAKETIME": way, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
            yield Circumstance(f"a clock that is off by {way}", fake)
    seed = str(time.time_ns())
    yield Circumstance(f"another order, --shuffle {seed}", arguments=["--shuffle", seed])
    yield Circumstance("a directory with a space and an umlaut", directory="nas sdk für alle")


def _fails(circumstance: Circumstance, arguments: Sequence[str]) -> bool:
    with ExitStack() as stack:
        place = ROOT
        if circumstance.directory:
            place = stack.enter_context(_copy(circumstance.directory))
        variables = {**os.environ, "PYTHONPATH": str(place), **circumstance.variables}
        command = pytest_command([*circumstance.arguments, *(arguments or ["--fast"])])
        return subprocess.run(command, cwd=place, env=variables).returncode != 0


@contextmanager
def _copy(name: str) -> Iterator[Path]:
    """A copy of the checkout, with the environments of this one."""
    with tempfile.TemporaryDirectory(prefix="copy-") as scratch:
        place = Path(scratch) / name
        shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(".venv", ".cache", "*cache*"))
        for linked in (".venv", ".cache"):
            (place / linked).symlink_to(ROOT / linked)
        yield place


@contextmanager
def _busy_cores() -> Iterator[None]:
    """Keep every core busy. What does it ends with this process, however that ends."""
    command = tied([sys.executable, "-c", "while True: pass"])
    hogs = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _failed(report: Path) -> list[str]:
    """The tests that did not pass, of a JUnit report; none when it was not written."""
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")  # pytest has just written it
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def _faketime() -> str:
    """The library that moves the clock of what is started with it; empty without it."""
    for name in _FAKETIME:
        for found in Path("/usr/lib").glob(f"*/faketime/{name}"):
            return str(found)
    return ""
