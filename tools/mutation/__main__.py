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
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple, TypedDict

ROOT: Final = Path(__file__).parents[2]
SURVIVORS: Final = ROOT / "tests" / "mutation" / "survivors.toml"
PACKAGES: Final = ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin")
SDK: Final = "tests/sdk"
SERVER: Final = "tests/server"
CHRONOS: Final = tuple(
    f"tests/chronos/test_{name}.py" for name in ("overdue", "fires", "plugin_runtime", "provider")
)
TOKENS: Final = (f"{SDK}/webhooks/test_verifier.py", "tests/security/test_tokens.py")
KEYS: Final = (
    f"{SDK}/webhooks/test_key_state.py",
    f"{SDK}/webhooks/test_keys.py",
    f"{SDK}/webhooks/test_jwks.py",
    "tests/security/test_jwks.py",
)
TESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "nas_sdk": (f"{SDK}/test_client.py", f"{SDK}/test_errors.py", f"{SDK}/core"),
    "nas_sdk._transport": (f"{SDK}/transport", f"{SDK}/test_client.py"),
    "nas_sdk.protocol": (f"{SDK}/protocol", f"{SDK}/testing"),
    "nas_sdk.reconcile": (f"{SDK}/reconcile", *CHRONOS),
    "nas_sdk.reconcile.apply": (f"{SDK}/reconcile/test_apply.py",),
    "nas_sdk.reconcile.planning": (f"{SDK}/reconcile/test_apply.py",),
    "nas_sdk.testing": (f"{SDK}/testing",),
    "nas_sdk.webhooks": (*TOKENS, *KEYS),
    "nas_sdk.webhooks.verifier": TOKENS,
    "nas_sdk.webhooks._token": TOKENS,
    "nas_sdk.webhooks.jwks": KEYS,
    "nas_sdk.webhooks._key_state": KEYS,
    "nas_server": (SERVER,),
    "nas_server.cli": (f"{SERVER}/cli",),
    "nas_server.delivery": (f"{SERVER}/delivery",),
    "nas_server.http": (f"{SERVER}/http", f"{SERVER}/test_operations.py"),
    "nas_server.page": (f"{SERVER}/page",),
    "nas_server.store": (f"{SERVER}/store",),
    "nas_conformance": ("tests/conformance/test_checks.py", "tests/conformance/test_command.py"),
    "chronos_plugin": ("tests/chronos",),
    "chronos_plugin.scheduler": CHRONOS,
    "chronos_plugin.plugin_runtime": CHRONOS,
}
"""Packages and modules, and the tests that are to notice what is wrong there; the longest
name that fits a module counts. Those that `--fast` leaves out run only for these:"""
NEEDS_MORE: Final = ("nas_sdk._transport", "nas_server.cli", "nas_server.store.jetstream")
POLICIES: Final = dict(zip(PACKAGES, ("sdk", "server", "conformance", "chronos"), strict=True))
"""The tests that state every number of a package."""
TENTHS: Final = 10


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
    parser.add_argument("modules", nargs="*", metavar="NAME", help="a module or a package of them")
    parser.add_argument(
        "--tenth",
        type=int,
        nargs="?",
        const=date.today().toordinal() % TENTHS,
        choices=range(TENTHS),
        help="only one mutant in ten; without a number, another tenth every day",
    )
    given = parser.parse_args()
    wanted = [name for name in modules() if _is_within(name, given.modules or PACKAGES)]
    if unknown := [
        each for each in given.modules if not any(_is_within(n, [each]) for n in wanted)
    ]:
        parser.error(f"no such module here: {', '.join(unknown)}")
    known = tomllib.loads(SURVIVORS.read_text())
    new = tried = survivors = 0
    with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
        copy = Path(scratch) / "tree"
        _copy(copy)
        for module in wanted:
            began = time.monotonic()
            found = _examine(module, copy, Path(scratch), given.tenth)
            tried, survivors = tried + found.tried, survivors + len(found.alive)
            took = time.monotonic() - began
            print(f"{module}: {len(found.alive)} of {found.tried} survive ({took:.0f} s)")
            for line in _unexplained(module, found, known.get(module, {}), given.tenth is None):
                new += 1
                print(f"  {line}", flush=True)
    print(f"mutants {tried} survivors {survivors} unexplained {new}")
    return int(bool(new))


def modules() -> Iterator[str]:
    """Every module that ships, but what is generated."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if "_generated" not in parts and file.name != "__init__.py":
                yield ".".join(parts)


def tests_of(module: str) -> list[str]:
    """The arguments for pytest that run what is to notice a fault in a module."""
    name = max((each for each in TESTS if _is_within(module, [each])), key=len)
    fast = [] if _is_within(module, NEEDS_MORE) else ["--fast"]
    return [*fast, *TESTS[name], f"tests/{POLICIES[module.partition('.')[0]]}/test_policy.py"]


def _is_within(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _unexplained(
    module: str, found: Found, known: Mapping[str, str], all_tried: bool = True
) -> Iterator[str]:
    """What has to be looked at: survivors without a reason, and reasons without a survivor."""
    path = module.replace(".", "/")
    for name, line in found.alive.items():
        if name not in known:
            yield f"survives: {path}.py:{line} {name}"
    for name in known:
        if all_tried and name not in found.alive:
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


def _examine(module: str, tree: Path, scratch: Path, tenth: int | None) -> Found:
    """Try the mutants of a module, or a tenth of them, on every core."""
    cores = os.cpu_count() or 1
    parts = cores if tenth is None else TENTHS * cores
    mine = range(cores) if tenth is None else range(tenth, parts, TENTHS)

    def work(part: int) -> Result:
        own = scratch / f"{module}-{part}"
        own.mkdir()
        order = {"module": module, "tests": tests_of(module), "scratch": str(own)}
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

    with ThreadPoolExecutor(cores) as pool:
        results = list(pool.map(work, mine))
    alive = [pair for result in results for pair in result["alive"]]
    return Found(sum(result["tried"] for result in results), dict(sorted(alive, key=_line)))


def _line(pair: tuple[str, int]) -> int:
    return pair[1]


if __name__ == "__main__":
    sys.exit(main())
