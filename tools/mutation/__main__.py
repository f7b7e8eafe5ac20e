"""`scripts/mutate`: see its `--help`."""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import sys
import textwrap
import threading
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from tools.mutation.calls import OURS as PACKAGES
from tools.mutation.choice import Calls, files, rounds_of
from tools.mutation.mutants import Mutant, mutants
from tools.mutation.results import Results, print_table, version_of
from tools.mutation.tree import Worker

ROOT: Final = Path(__file__).parents[2]
SURVIVORS: Final = ROOT / "tests" / "mutation" / "survivors.toml"
CACHE: Final = ROOT / ".cache" / "mutation"
TENTHS: Final = 10
ABOUT: Final = f"""
Plants one small fault after the other in a copy of this checkout, and says which of them no
test notices. Those that are fine are listed, with the reason, in
{SURVIVORS.relative_to(ROOT)}; any other makes the command fail.

It learns first which test calls which function, again only for test files that changed. A
mutant then meets the tests that call its function: those of the module first, then the quick
ones, until one fails. What hangs is ended and counts as noticed. Each result is kept in
{CACHE.relative_to(ROOT)} as it comes, and what was tried is not tried again while its module
is the same: a run that was broken off goes on where it was.
"""


def main() -> int:
    """Run the command; 0 if every survivor is one that is known and explained."""
    parser = _parser()
    given = parser.parse_args()
    wanted = [name for name in modules() if is_within(name, given.modules or PACKAGES)]
    if unknown := [n for n in given.modules if not any(is_within(w, [n]) for w in wanted)]:
        parser.error(f"no such module here: {', '.join(unknown)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    results = Results(CACHE / "results.jsonl")
    found = {name: list(mutants(_source(name))) for name in wanted}
    if not given.table:
        _try(list(_chosen(found, given, results)), results, given)
    known = tomllib.loads(SURVIVORS.read_text())
    rows = [results.row(name, version_of(_source(name)), found[name], known) for name in wanted]
    unexplained = list(_unexplained(found, results, known))
    if given.json:
        print(json.dumps({"modules": rows, "unexplained": unexplained}, indent=1))
        return int(bool(unexplained))
    print_table(rows)
    for each in unexplained:
        print(f"{each['where']}: {each['what']}")
        print(textwrap.fill(each["name"], 79, initial_indent="  ", subsequent_indent="    "))
    return int(bool(unexplained))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/mutate", description=ABOUT, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("modules", nargs="*", metavar="NAME", help="a module or a package of them")
    add(
        *("--tenth", "-t"),
        type=int,
        nargs="?",
        const=date.today().toordinal() % TENTHS,
        choices=range(TENTHS),
        help="one mutant in ten; without a number, another tenth every day",
    )
    add("--sample", type=int, metavar="N", help="N mutants of every module, at random")
    add("--seed", type=int, default=0, help="another sample; the same seed takes the same")
    add("--literals", action="store_true", help="only constants of modules and classes, defaults")
    add("--name", metavar="TEXT", help="only mutants whose name has this")
    add("--again", action="store_true", help="also try again what survived")
    add("--slow", action="store_true", help="have survivors meet hermes and all that is slow, too")
    add("--seconds", type=float, default=60.0, help="of tests for a mutant, at most (60)")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one for each core)")
    add("--table", action="store_true", help="only show what is known")
    add("--json", action="store_true", help="say it as JSON")
    return parser


def modules() -> Iterator[str]:
    """Every module that ships, but what is generated."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if "_generated" not in parts and file.name != "__init__.py":
                yield ".".join(parts)


def is_within(module: str, names: Iterable[str]) -> bool:
    """Whether a module is one of these, or in a package of these."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _source(module: str) -> str:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def _chosen(
    found: Mapping[str, Sequence[Mutant]], given: argparse.Namespace, results: Results
) -> Iterator[tuple[str, Mutant]]:
    """What is to be tried: by module, and the values that people feel first."""
    for module, every in found.items():
        some = [each for each in every if each.is_literal or not given.literals]
        some = [each for each in some if (given.name or "") in each.name]
        if given.tenth is not None:
            some = some[given.tenth :: TENTHS]
        if given.sample is not None and given.sample < len(some):
            some = random.Random(f"{given.seed} {module}").sample(some, given.sample)
        version = version_of(_source(module))
        for each in sorted(some, key=lambda each: not each.is_literal):
            state = results.state(module, each.name, version)
            if state is None or (state == "lives" and given.again):
                yield module, each


def _try(chosen: Sequence[tuple[str, Mutant]], results: Results, given: argparse.Namespace) -> None:
    """Try them on every core; each result is kept as it comes."""
    if not chosen:
        return
    calls = Calls(CACHE / "calls")
    to_learn: queue.SimpleQueue[str] = queue.SimpleQueue()
    for file in files():
        if not calls.is_known(file):
            to_learn.put(file)
    to_try: queue.SimpleQueue[tuple[str, Mutant]] = queue.SimpleQueue()
    for each in chosen:
        to_try.put(each)
    learned = threading.Barrier(given.jobs)
    began, lives, done = time.monotonic(), 0, 0

    def work() -> None:
        nonlocal lives, done
        with Worker(CACHE) as worker:
            worker.ask({"import": calls.foreign()})
            for file in _each(to_learn):
                told = worker.ask({"look": file, "options": []})
                if "tests" not in told:
                    _say(f"{file} tells nothing: {told['by']}")
                    continue
                calls.learn(file, told)
                worker.ask({"import": told["modules"]})
                _say(f"{file}: {len(told['tests'])} tests, {len(told['failed'])} fail")
            learned.wait()
            for module, mutant in _each(to_try):
                rounds = rounds_of(module, mutant, calls, given.seconds, given.slow)
                order = {"module": module, "source": mutant.source, "rounds": rounds}
                told = worker.ask(order)
                results.keep(module, mutant, version_of(_source(module)), told)
                done += 1
                lives += told["state"] == "lives"
                left = (time.monotonic() - began) / done * (len(chosen) - done) / 60
                _say(
                    f"{done}/{len(chosen)}  {lives} live  {left:.0f} min left  "
                    f"{told['state']} {module}:{mutant.line}"
                )

    threads = [threading.Thread(target=work, daemon=True) for _ in range(given.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _each(items: queue.SimpleQueue[Any]) -> Iterator[Any]:
    while True:
        try:
            yield items.get_nowait()
        except queue.Empty:
            return


def _say(what: str) -> None:
    print(what[:80], file=sys.stderr, flush=True)


def _unexplained(
    found: Mapping[str, Sequence[Mutant]], results: Results, known: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, str]]:
    """What has to be looked at: survivors without a reason, and reasons without a survivor."""
    for module, every in found.items():
        path, reasons = f"{module.replace('.', '/')}.py", known.get(module, {})
        version = version_of(_source(module))
        states = {each.name: results.state(module, each.name, version) for each in every}
        for each in every:
            if states[each.name] == "lives" and each.name not in reasons:
                where = f"{path}:{each.line}"
                yield {"where": where, "what": "no test notices", "name": each.name}
        for name in reasons:
            if states.get(name, "gone") not in (None, "lives"):
                what = f"is noticed or gone, take it out of {SURVIVORS.name}"
                yield {"where": path, "what": what, "name": name}


if __name__ == "__main__":
    sys.exit(main())
