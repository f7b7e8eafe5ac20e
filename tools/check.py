"""Every check of the project, each named and timed, then the tests.

    scripts/test [--fast] [--only STEP]... [PYTEST ARGUMENTS]
    scripts/test --repeat N [PYTEST ARGUMENTS]
    scripts/test --odd [PYTEST ARGUMENTS]

All steps run even when one fails; the exit status is 0 when none did. The last lines are
pytest's own summary.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import rounds
from tools.bootstrap import ROOT

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Step:
    """One check: its name, what it is for, and its command, from `.venv` or by its whole path."""

    name: str
    about: str
    command: tuple[str, ...]


def _ours(module: str, *arguments: str) -> tuple[str, ...]:
    return ("python", "-m", f"tools.{module}", *arguments)


COMMANDS = (
    "bench",
    "contract",
    "demo",
    "docs",
    "hosts",
    "incidents",
    "lib.sh",
    "lock",
    "mutate",
    "pictures",
    "regen",
    "release",
    "simulate",
    "test",
)
SCRIPTS = (".ci/run", *(f"scripts/{name}" for name in COMMANDS))

STEPS = (
    Step("format", "every file is formatted", ("ruff", "format", "--check", ".")),
    Step("lint", "no finding of ruff", ("ruff", "check", ".")),
    Step("shell", "no finding of shellcheck", ("shellcheck", "-x", *SCRIPTS)),
    Step("types", "mypy --strict, all of it", ("mypy",)),
    Step("imports", "imports go one way", ("lint-imports",)),
    Step("regen", "_generated is what the contract gives", _ours("regen", "--check")),
    Step("contract", "the contract is sound", _ours("contract", "lint")),
    Step("diff", "no unannounced break of the contract", _ours("contract", "diff")),
    Step("surface", "nor of the Python surface", _ours("contract", "surface")),
    Step("docs", "the site builds without a warning", (str(ROOT / "scripts" / "docs"),)),
)
TESTS = "tests"
FAST = ("format", "lint", "types", "imports", TESTS)
"""What `--fast` runs: nothing that builds, and the tests that need little."""


@dataclass(frozen=True)
class Result:
    """How a step went."""

    step: Step
    failed: bool
    output: str
    seconds: float


def main(arguments: Sequence[str]) -> int:
    """Run the steps that `arguments` ask for. Returns the exit status."""
    given, rest = _parser().parse_known_args(arguments)
    if given.repeat:
        return int(rounds.repeat(given.repeat, rest))
    if given.odd:
        return int(rounds.odd(rest))
    wanted = given.only or (FAST if given.fast else _names())
    results = [_shown(_run(step)) for step in STEPS if step.name in wanted]
    failed = [result.step.name for result in results if result.failed]
    if len(results) > 1:
        print(_summary(results, failed), flush=True)
    if TESTS in wanted and _test([*(["--fast"] if given.fast else []), *rest]):
        failed.append(TESTS)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _names() -> list[str]:
    return [step.name for step in STEPS] + [TESTS]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Run every check, then the tests. Other arguments go to pytest.",
        epilog=f"steps: {', '.join(_names())}",
    )
    add = parser.add_argument
    add("--only", action="append", choices=_names(), metavar="STEP", help="only this step")
    add("--fast", action="store_true", help="only what needs no hermes, no cluster, no browser")
    add("--repeat", type=int, metavar="N", help="the tests N times while all cores are busy")
    add("--odd", action="store_true", help="the fast tests in odd time zones, locales, places")
    return parser


def _run(step: Step) -> Result:
    begun = time.monotonic()
    if sys.stdout.isatty():
        print(f"     {step.name:9} {step.about} …", end="", flush=True)
    done = subprocess.run(
        [BIN / step.command[0], *step.command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Result(step, done.returncode != 0, done.stdout, time.monotonic() - begun)


def _shown(result: Result) -> Result:
    step = result.step
    clear = "\r\033[K" if sys.stdout.isatty() else ""
    word = "FAIL" if result.failed else "ok"
    print(f"{clear}{word:4} {step.name:9} {result.seconds:5.1f} s  {step.about}", flush=True)
    if result.failed:
        print("\n".join(f"     {line}" for line in result.output.splitlines()), flush=True)
    return result


def _summary(results: Sequence[Result], failed: Sequence[str]) -> str:
    took = sum(result.seconds for result in results)
    state = f"{len(failed)} failed ({', '.join(failed)})" if failed else "all good"
    return f"{len(results)} checks, {state}, {took:.0f} s"


def _test(arguments: Sequence[str]) -> bool:
    """Run pytest where its output is seen as it comes. Returns whether it failed."""
    # Rewritten assertions are kept between runs, whatever the machine says about bytecode.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = rounds.pytest_command(arguments)
    return subprocess.run(command, cwd=ROOT, env=environment).returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
