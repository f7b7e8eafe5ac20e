"""The SDK as its users' type checkers see it: programs that must, and must not, type-check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.bootstrap import REDOCLY

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PYRIGHT = REDOCLY / "node_modules" / "pyright" / "index.js"

Complaints = dict[str, set[int]]


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(folder: Path) -> Complaints:
    """The lines mypy complains of, by file."""
    cache = f"--cache-dir={folder / 'cache'}"
    options = ["--strict", "--config-file=", cache, "--no-error-summary", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", *options, *map(str, sorted(PROGRAMS.glob("*.py")))]
    found: Complaints = {}
    for name, line in re.findall(r"([a-z_]+\.py):(\d+): error", run(command, folder)):
        found.setdefault(name, set()).add(int(line))
    return found


def pyright(folder: Path) -> Complaints:
    """The lines pyright complains of in its strict mode, by file."""
    settings = {
        "include": ["programs"],
        "typeCheckingMode": "strict",
        "extraPaths": [str(ROOT)],
        "reportUnusedVariable": False,
        "reportUnusedCoroutine": False,
    }
    shutil.copytree(PROGRAMS, folder / "programs")
    config = folder / "pyrightconfig.json"
    config.write_text(json.dumps(settings), "utf-8")
    command = ["node", str(PYRIGHT), "--project", str(config), "--outputjson"]
    output: Any = json.loads(run([*command, "--pythonpath", sys.executable], folder))
    found: Complaints = {}
    for item in output["generalDiagnostics"]:
        name = Path(item["file"]).name
        found.setdefault(name, set()).add(item["range"]["start"]["line"] + 1)
    assert output["summary"]["filesAnalyzed"] >= 5
    return found


@pytest.mark.parametrize("check", [mypy, pyright])
def test_every_mistake_is_found_and_nothing_else(check: Any, tmp_path: Path) -> None:
    lines = (PROGRAMS / "wrong.py").read_text("utf-8").splitlines()
    mistakes = {number for number, line in enumerate(lines, 1) if "# wrong" in line}
    assert len(mistakes) == 11
    assert check(tmp_path) == {"wrong.py": mistakes}
