"""`scripts/contract`: lint the contract, and say what a change of it does to others."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bootstrap import ROOT
from tools.contract import redocly, releases, report, rules, surface
from tools.contract.changes import changes
from tools.contract.releases import SPEC
from tools.contract.spec import Finding, UnreadableError, load


def main(arguments: Sequence[str]) -> int:
    """Do what `arguments` say. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/contract", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("lint", help="check the contract against the rules")
    command.add_argument("file", nargs="?", type=Path, default=SPEC)
    command.set_defaults(run=lambda given: lint(given.file))
    command = commands.add_parser("diff", help="say what changed, and what that breaks")
    base = "a file, a released version or a git revision; the last release if left out"
    command.add_argument("base", nargs="?", help=base)
    command.add_argument("head", nargs="?", type=Path, default=SPEC, help="a file; this tree's")
    command.set_defaults(run=lambda given: diff(given.base, given.head))
    command = commands.add_parser("surface", help="the same for the Python surface of nas_sdk")
    command.set_defaults(run=lambda _: python_diff())
    command = commands.add_parser("release", help="keep contract and surface as released")
    command.set_defaults(run=lambda _: release())
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except (UnreadableError, redocly.LinterError, releases.ReleasedError) as error:
        print(error, file=sys.stderr)
        return 2


def lint(file: Path) -> int:
    """Print what the rules have against a contract."""
    spec = load(file)
    found = [*redocly.findings(file)[file], *rules.findings(spec)]
    for finding in found:
        print(_line(finding))
    name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    print(f"{name}: {len(found)} findings" if found else f"{name}: sound")
    return 1 if found else 0


def diff(base: str | None, head: Path) -> int:
    """Print the changes since a contract. 1 when they break what the version promises."""
    before = releases.contract(base)
    if before is None:
        print("no contract is released yet, so none can be broken")
        return 0
    old, new = before, load(head)
    found = changes(old, new)
    had, has = old["info"]["version"], new["info"]["version"]
    print("\n".join(report.lines(f"contract {had} to {has}", found)))
    return report.verdict(had, has, found)


def python_diff() -> int:
    """Print the changes of the Python surface since the last release, as `diff` does."""
    before = releases.surface()
    if before is None:
        print("no Python surface is released yet, so none can be broken")
        return 0
    had, old = before
    has = releases.project_version()
    found = surface.changes(old, surface.surface())
    print("\n".join(report.lines(f"nas_sdk {had} to {has}", found)))
    return report.verdict(had, has, found)


def release() -> int:
    """Keep this tree's contract and Python surface as what was released."""
    version = load(SPEC)["info"]["version"]
    lines = "".join(f"{line}\n" for line in surface.surface())
    print(releases.keep(f"{version}.yaml", SPEC.read_text()))
    print(releases.keep(f"{releases.PYTHON}{releases.project_version()}.txt", lines))
    return 0


def _line(finding: Finding) -> str:
    return f"{finding.where}\n    {finding.what} ({finding.rule})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
