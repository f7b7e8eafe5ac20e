"""`chronos`: what people run. hermes never imports it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_sdk import _console
from nas_sdk._version import __version__

from . import commands, doctor, hermes_env, install, login, status, tail
from . import target as targets
from .problems import ElsewhereError, Problem


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 1 for a problem that is told in one line, 2 for bad usage.

    That is also for an installation without the extra `chronos`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _console.run("chronos", _console.CHRONOS, lambda: _main(arguments))


def _main(argv: list[str]) -> int:
    args = command_line().parse_args(argv)
    try:
        return _run(args, argv)
    except BrokenPipeError:
        raise
    except Problem as error:
        problem = error
    except Exception as error:
        if sys.flags.dev_mode or _console.CHRONOS.is_missing(error):
            raise
        what = f"{type(error).__name__}: {error}"
        problem = Problem(f"went wrong: {what}; PYTHONDEVMODE=1 in the environment shows where")
    if args.run is doctor.doctor:
        return doctor.hopeless(problem, args)
    print(f"chronos {args.command}: {problem}", file=sys.stderr)
    return 1


def _run(args: argparse.Namespace, argv: list[str]) -> int:
    if "home" not in args:
        return int(args.run(args))
    if args.home:
        os.environ["HERMES_HOME"] = args.home
        if not Path(args.home, "config.yaml").is_file():
            raise Problem(f"{args.home} is no agent home: it has no config.yaml")
    try:
        if args.hermes and not targets.find(args.hermes).is_this:
            raise ElsewhereError
        hermes_env.require()
        return int(args.run(args))
    except ElsewhereError:
        target = targets.find(args.hermes)
    if not target.has_plugin:
        raise Problem(install.how_to_add(target))
    again = [str(target.python), "-P", "-m", "chronos_plugin.cli", *argv]
    return subprocess.run(again, check=False).returncode  # noqa: S603 - a Python that was found, no shell


def command_line() -> argparse.ArgumentParser:
    """What `chronos` understands."""
    parser = argparse.ArgumentParser(
        prog="chronos", description="hermes cron jobs on agents that stop while idle"
    )
    parser.add_argument(
        "--version", action="version", version=__version__, help="print the version"
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = _add(subparsers, "install", "make hermes load this chronos")
    command.add_argument("--dry-run", action="store_true", help="say what would be done")
    command.set_defaults(run=install.install)

    command = _add(subparsers, "uninstall", "undo `chronos install`")
    command.add_argument("--dry-run", action="store_true", help="say what would be done")
    command.set_defaults(run=install.uninstall)

    command = _add_home(subparsers, "login", "log in at NAS with a fixed token; for scripts")
    command.add_argument(
        "--token-file", required=True, metavar="FILE", help="holds the token; - is standard input"
    )
    command.add_argument(
        "--portal-url", metavar="URL", help="NAS (default: cron.chronos.portal_url)"
    )
    command.set_defaults(run=login.login)

    command = _add_home(subparsers, "doctor", "check everything, and say what to do about it")
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    fire = command.add_mutually_exclusive_group()
    fire.add_argument("--no-fire", action="store_true", help="do without a test fire from NAS")
    words = (
        "fire a job all the way: armed, fired, claimed, run, armed again; "
        "without JOB (id or name) one that is made and removed for it"
    )
    fire.add_argument("--fire", nargs="?", const="", metavar="JOB", help=words)
    command.set_defaults(run=doctor.doctor)

    command = _add_home(subparsers, "status", "show the jobs and what is armed for them")
    command.add_argument("--json", action="store_true", help="print it as JSON")
    command.add_argument("--watch", action="store_true", help="show it again every 5 seconds")
    command.set_defaults(run=status.status)

    command = _add_home(subparsers, "tail", "follow the provider's lines of hermes's log")
    command.add_argument(
        "-n", dest="lines", type=int, default=20, metavar="N", help="so many old lines (20)"
    )
    command.add_argument("--no-follow", action="store_true", help="do not wait for new ones")
    command.set_defaults(run=tail.tail)

    command = _add_home(subparsers, "reconcile", "arm at NAS what hermes's jobs want")
    command.set_defaults(run=commands.reconcile)

    about = "cancel what is armed for this agent home, such as before switching away"
    command = _add_home(subparsers, "disarm", about)
    command.set_defaults(run=commands.disarm)
    return parser


def _add(subparsers: Any, name: str, about: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = subparsers.add_parser(name, help=about, description=about)
    command.add_argument(
        "--hermes", metavar="PATH", help="the hermes program, or its Python (default: find it)"
    )
    return command


def _add_home(subparsers: Any, name: str, about: str) -> argparse.ArgumentParser:
    """A command about one agent home; it runs in the Python of its hermes."""
    command = _add(subparsers, name, about)
    command.add_argument("--home", metavar="DIR", help="the agent home (default: $HERMES_HOME)")
    return command
