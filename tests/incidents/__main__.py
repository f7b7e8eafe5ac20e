"""`scripts/incidents`: see its `--help`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.incidents import book
from tests.incidents.book import BROKEN, HELD, Entry, Outcome
from tests.support.hermes_env import HermesEnvironment

ROW = "{:>2}  {:<53} {:<10}  {}"
WIDTH = 80


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 only if ours holds every promise."""
    given = _parser().parse_args(arguments)
    chosen = [entry for entry in book.entries() if entry.number in (given.only or [entry.number])]
    told, kept = [], True
    if not given.json:
        print(ROW.format("#", "what goes wrong", "bundled", "ours"), flush=True)
    with tempfile.TemporaryDirectory(prefix="incidents-") as scratch:
        environment = cache(lambda version: _environment(version, Path(scratch)))
        for entry in chosen:
            bundled, ours = (
                book.play(entry, environment(entry.version), ours=which, patience=given.patience)
                for which in (False, True)
            )
            told.append(_told(entry, bundled, ours))
            kept &= ours.verdict == HELD
            if not given.json:
                print("\n".join(_lines(entry, bundled, ours)), flush=True)
    if given.json:
        print(json.dumps(told, indent=2))
    return int(not kept)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/incidents",
        description="Plays every incident of the book against real hermes, with the provider "
        "that it bundles and with ours, and prints which kept its promises.",
    )
    parser.add_argument(
        "only", nargs="*", type=int, metavar="NUMBER", help="these incidents (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, at the end")
    parser.add_argument(
        "--patience",
        type=float,
        default=20.0,
        metavar="S",
        help="seconds until a promise counts as broken (default: %(default)s)",
    )
    return parser


def _environment(version: str, scratch: Path) -> HermesEnvironment:
    made = HermesEnvironment.create(version, scratch / version)
    made.install_hook()
    return made


def _lines(entry: Entry, bundled: Outcome, ours: Outcome) -> list[str]:
    """The row, and a line for each promise that was not kept."""
    lines = [ROW.format(entry.number, entry.title, bundled.verdict, ours.verdict)]
    for name, outcome in (("bundled", bundled), ("ours", ours)):
        if outcome.why:
            not_so = "not so: " if outcome.verdict == BROKEN else ""
            lines.append(f"      {name}: {not_so}{outcome.why}"[:WIDTH])
    return lines


def _told(entry: Entry, bundled: Outcome, ours: Outcome) -> dict[str, object]:
    return {
        "number": entry.number,
        "hermes": entry.version,
        "title": entry.title,
        "test": entry.play.__name__,
        "bundled": bundled._asdict(),
        "ours": ours._asdict(),
    }


if __name__ == "__main__":
    sys.exit(main())
