"""Redocly, as it was locked and installed below `.cache`: the contract's general linter."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import REDOCLY, ROOT
from tools.contract.spec import Finding

CONFIG = ROOT / "openapi" / "redocly.yaml"
CLI = REDOCLY / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"


class LinterError(Exception):
    """The linter itself failed; the text is what it said."""


def findings(spec: Path) -> list[Finding]:
    """What Redocly's rules have against a contract."""
    command = ["node", str(CLI), "lint", str(spec), "--config", str(CONFIG)]
    options = ["--format=json", "--max-problems=1000"]
    done = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    try:
        problems = json.loads(done.stdout)["problems"]
    except (ValueError, KeyError):
        raise LinterError(done.stderr.strip() or done.stdout.strip()) from None
    return [_finding(problem) for problem in problems]


def _finding(problem: dict[str, object]) -> Finding:
    match problem:
        case {"location": [{"pointer": str(where)}, *_]}:
            pass
        case _:
            where = "#/"
    return Finding(where, str(problem["message"]), str(problem["ruleId"]))


def _environment() -> dict[str, str]:
    """Ours, with the node of `.venv` found first and nothing sent to anyone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return {**os.environ, **quiet, "PATH": path, "NO_COLOR": "1"}
