"""One job's life on any list of hermes releases, and what failed in hermes's own words.

    scripts/hosts                        # the releases that people have
    scripts/hosts 0.20.6 0.23.0          # these, by their version alone
    scripts/hosts hermes-agent==0.19.0   # or with the package
    scripts/hosts --signatures           # only what their schedulers take of a provider

Exit status: 0, 1 when something does not work that should, 2 when a release could not be
had or the command line is wrong.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bootstrap import ROOT
from tools.hosts import wheels
from tools.hosts.releases import KNOWN, candidates
from tools.hosts.run import try_all
from tools.hosts.table import Row, as_json, as_markdown, as_summary, as_text

PAGE = ROOT / "docs" / "compatibility.md"
FRONTS = (ROOT / "README.md", ROOT / "docs" / "index.md")
"""Pages that show the short form."""
BEGIN, END = "<!-- scripts/hosts --write -->\n", "<!-- end -->"


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        names = [candidates(name) for name in options.release or map(str, KNOWN)]
    except ValueError as error:
        print(f"scripts/hosts: {error}", file=sys.stderr)
        return 2
    if options.signatures:
        return wheels.compare(names, options.write)
    rows = try_all(names, options.jobs)
    print(json.dumps(as_json(rows), indent=2) if options.json else as_text(rows))
    if options.write:
        write(rows)
    if any(row.failed for row in rows):
        return 1
    return 2 if any(row.setup_error for row in rows) else 0


def write(rows: Sequence[Row]) -> None:
    """Put the table into the page of the documentation, and its short form onto the front pages."""
    _put(PAGE, as_markdown(rows))
    for front in FRONTS:
        _put(front, as_summary(rows))


def _put(page: Path, text: str) -> None:
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def _parser() -> argparse.ArgumentParser:
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="scripts/hosts",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("release", nargs="*", help="a version, or PACKAGE==VERSION")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="releases at a time (2)")
    parser.add_argument(
        "--signatures", action="store_true", help="only read the wheels, in seconds"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep it: the table in docs/, or the signatures"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
