"""Redocly, as it was locked and installed below `.cache`: the contract's general linter."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.bootstrap import REDOCLY, ROOT
from tools.contract.spec import Finding

CONFIG = ROOT / "openapi" / "redocly.yaml"
CLI = REDOCLY / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"


class LinterError(Exception):
    """The linter itself failed; the text is what it said."""


def findings(*specs: Path) -> dict[Path, list[Finding]]:
    """What Redocly's rules have against each of some contracts."""
    command = ["node", str(CLI), "lint", *map(str, specs), "--config", str(CONFIG)]
    options = ["--format=json", "--max-problems=10000"]
    done = subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    try:
        return dict(zip(specs, _reports(done.stdout), strict=True))
    except (ValueError, LookupError):
        raise LinterError(done.stderr.strip() or done.stdout.strip()) from None


def _reports(text: str) -> Iterator[list[Finding]]:
    """The findings of each contract in turn: the linter prints one JSON document for each."""
    decoder = json.JSONDecoder()
    while text:
        report, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        yield [_finding(problem) for problem in report["problems"]]


def _finding(problem: dict[str, Any]) -> Finding:
    where = problem["location"][0].get("pointer", "#/")
    return Finding(str(where), str(problem["message"]), str(problem["ruleId"]))


def _environment() -> dict[str, str]:
    """Ours, with the node of `.venv` found first and nothing sent to anyone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    return {**os.environ, **quiet, "PATH": path, "NO_COLOR": "1"}
