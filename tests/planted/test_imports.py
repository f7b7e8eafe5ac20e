"""Imports that go the wrong way, planted one at a time: the import rules name each."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.bootstrap import ROOT

PLANTS = {
    "never on each other": ("chronos_plugin/plugin_runtime.py", "import nas_server.app"),
    "Plugin, server and kit stand on the SDK": ("nas_sdk/testing/nas.py", "import nas_server.app"),
    "parts stand on each other": ("nas_sdk/_core/retry.py", "import nas_sdk.webhooks"),
    "The SDK knows nothing of hermes": ("nas_sdk/reconcile/apply.py", "import hermes_cli.auth"),
    "the plugin only through its host": ("chronos_plugin/plugin_runtime.py", "import cron.jobs"),
    "Generated calls are made in one place": (
        "nas_sdk/client.py",
        "import nas_sdk._generated.api.one_shots.cancel",
    ),
    "hermes never loads the command line": (
        "chronos_plugin/scheduler.py",
        "import chronos_plugin.cli.install",
    ),
    "do no I/O": ("nas_sdk/_core/operations.py", "import httpx"),
    "opens no connection": ("nas_sdk/_core/bulk.py", "import socket"),
    "rules of one-shots do no I/O": ("nas_sdk/protocol/table.py", "import time"),
    "The reference NAS alone": ("nas_sdk/webhooks/verifier.py", "import aiohttp"),
    "The conformance kit alone": ("nas_sdk/testing/nas.py", "import hypothesis"),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and their rules, for planting in."""
    folder = tmp_path_factory.mktemp("imports")
    for package in ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


def test_the_rules_are_kept(checkout: Path) -> None:
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("rule", PLANTS)
def test_a_planted_import_breaks_its_rule_alone(checkout: Path, rule: str) -> None:
    name, line = PLANTS[rule]
    file = checkout / name
    before = file.read_text()
    file.write_text(f"{before}\n\ndef planted() -> None:\n    {line}\n")
    try:
        done = lint(checkout)
    finally:
        file.write_text(before)
    assert done.returncode != 0
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert len(broken) == 1, done.stdout
    assert rule in broken[0]
