"""`scripts/mutate`: see its `--help`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

ROOT: Final = Path(__file__).parents[2]
SURVIVORS: Final = ROOT / "tests" / "mutation" / "survivors.toml"
CHRONOS: Final = tuple(
    f"tests/chronos/test_{name}.py" for name in ("overdue", "fires", "keeper", "provider")
)
BROKEN: Final = (
    "test_every_broken_token_is_refused_for_its_own_reason",
    "test_whatever_the_libraries_raise_is_a_refusal",
    "test_tasks_get_the_same_verdicts",
)
TOKENS: Final = (
    "tests/sdk/webhooks/test_verifier.py",
    *(f"tests/security/test_tokens.py::{name}" for name in BROKEN),
)
KEYS: Final = (
    "tests/sdk/webhooks/test_key_state.py",
    "tests/sdk/webhooks/test_jwks.py",
    "tests/security/test_jwks.py",
)
TESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "nas_sdk.reconcile.apply": ("tests/sdk/reconcile/test_apply.py",),
    "nas_sdk.reconcile.planning": ("tests/sdk/reconcile/test_apply.py",),
    "nas_sdk.reconcile.reconciler": ("tests/sdk/reconcile/test_reconciler.py", *CHRONOS),
    "chronos_plugin.scheduler": CHRONOS,
    "chronos_plugin.keeper": CHRONOS,
    "nas_sdk.webhooks.verifier": TOKENS,
    "nas_sdk.webhooks._token": TOKENS,
    "nas_sdk.webhooks.jwks": KEYS,
    "nas_sdk.webhooks._key_state": KEYS,
}
"""The modules, and the tests that are to notice what is wrong with each."""


class Result(TypedDict):
    """What one process of `run` says."""

    tried: int
    alive: list[tuple[str, int]]


class Found(NamedTuple):
    """What became of a module's mutants; `alive` has the line of each survivor."""

    tried: int
    alive: dict[str, int]


def main() -> int:
    """Run the command; 0 if every survivor is one that is known and explained."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutate",
        description="Plants one small fault after the other in a copy of this checkout, and says "
        "which of them no test notices. Those that are fine are listed, with the reason, in "
        f"{SURVIVORS.relative_to(ROOT)}; any other makes the command fail.",
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(TESTS)}")
    given = parser.parse_args().modules
    if unknown := [name for name in given if name not in TESTS]:
        parser.error(f"no such module here: {', '.join(unknown)}")
    known = tomllib.loads(SURVIVORS.read_text())
    new = tried = survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        copy = Path(scratch) / "tree"
        _copy(copy)
        for module in given or TESTS:
            began = time.monotonic()
            found = _examine(module, copy, Path(scratch))
            tried, survivors = tried + found.tried, survivors + len(found.alive)
            took = time.monotonic() - began
            print(f"{module}: {len(found.alive)} of {found.tried} survive ({took:.0f} s)")
            for line in _unexplained(module, found, known.get(module, {})):
                new += 1
                print(f"  {line}", flush=True)
    print(f"mutants {tried} survivors {survivors} unexplained {new}")
    return int(bool(new))


def _unexplained(module: str, found: Found, known: Mapping[str, str]) -> Iterator[str]:
    """What has to be looked at: survivors without a reason, and reasons without a survivor."""
    path = module.replace(".", "/")
    for name, line in found.alive.items():
        if name not in known:
            yield f"survives: {path}.py:{line} {name}"
    for name in known:
        if name not in found.alive:
            yield f"is noticed now, take it out of {SURVIVORS.name}: {name}"


def _copy(to: Path) -> None:
    """What git knows or would take, so that nothing is planted in the checkout itself."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def _examine(module: str, tree: Path, scratch: Path) -> Found:
    """Try all mutants of a module, on every core."""
    parts = os.cpu_count() or 1

    def work(part: int) -> Result:
        own = scratch / f"{module}-{part}"
        own.mkdir()
        order = {"module": module, "tests": TESTS[module], "scratch": str(own)}
        command = [sys.executable, "-m", "tools.mutation.run"]
        done = subprocess.run(
            [*command, json.dumps({**order, "part": [part, parts]})],
            cwd=tree,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.returncode)
        found: Result = json.loads(done.stdout)
        return found

    with ThreadPoolExecutor(parts) as pool:
        results = list(pool.map(work, range(parts)))
    alive = [pair for result in results for pair in result["alive"]]
    return Found(sum(result["tried"] for result in results), dict(sorted(alive, key=_line)))


def _line(pair: tuple[str, int]) -> int:
    return pair[1]


if __name__ == "__main__":
    sys.exit(main())
