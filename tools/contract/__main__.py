"""`scripts/contract`: lint the contract, and say what a change of it does to others."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bootstrap import ROOT
from tools.contract import redocly, rules
from tools.contract.spec import Finding, UnreadableError, load

SPEC = ROOT / "openapi" / "nas-agent-cron.yaml"


def main(arguments: Sequence[str]) -> int:
    """Do what `arguments` say. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/contract", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("lint", help="check the contract against the rules")
    command.add_argument("file", nargs="?", type=Path, default=SPEC)
    command.set_defaults(run=lambda given: lint(given.file))
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except (UnreadableError, redocly.LinterError) as error:
        print(error, file=sys.stderr)
        return 2


def lint(file: Path) -> int:
    """Print what the rules have against a contract."""
    spec = load(file)
    found = [*redocly.findings(file), *rules.findings(spec)]
    for finding in found:
        print(_line(finding))
    name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    print(f"{name}: {len(found)} findings" if found else f"{name}: sound")
    return 1 if found else 0


def _line(finding: Finding) -> str:
    return f"{finding.where}\n    {finding.what} ({finding.rule})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
