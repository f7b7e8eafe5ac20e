"""`chronos`: what people run. hermes never imports it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import install, upkeep
from .problems import Problem


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 1 for a problem that is told in one line, 2 for bad usage."""
    args = _parser().parse_args(argv)
    if getattr(args, "home", None):
        os.environ["HERMES_HOME"] = args.home
    try:
        if getattr(args, "home", None) and not Path(args.home, "config.yaml").is_file():
            raise Problem(f"{args.home} is no agent home: it has no config.yaml")
        return int(args.run(args))
    except Problem as problem:
        print(f"chronos {args.command}: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chronos", description="hermes cron jobs on agents that stop while idle"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("install", help="make hermes load this chronos")
    _add_hermes(command)
    command.set_defaults(run=install.install)

    command = commands.add_parser("uninstall", help="undo `chronos install`")
    _add_hermes(command)
    command.set_defaults(run=install.uninstall)

    command = commands.add_parser("reconcile", help="arm at NAS what hermes's jobs want")
    _add_home(command)
    command.set_defaults(run=upkeep.reconcile)

    command = commands.add_parser(
        "disarm", help="cancel what is armed for this agent home, such as before switching away"
    )
    _add_home(command)
    command.set_defaults(run=upkeep.disarm)
    return parser


def _add_hermes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--hermes", metavar="PATH", help="the hermes program, or its Python (default: find it)"
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done")


def _add_home(command: argparse.ArgumentParser) -> None:
    command.add_argument("--home", metavar="DIR", help="the agent home (default: $HERMES_HOME)")
