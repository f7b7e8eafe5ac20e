"""Our own NASes keep the contract, by the kit and by schemathesis's own checks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nas_conformance.runner.options import Options
from nas_conformance.runner.suite import run
from nas_sdk import NasClient
from nas_sdk.testing import InMemoryNas
from tests.support.nas_server import NasServer, nas_server

pytestmark = pytest.mark.off_contract("request")

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300.0


@pytest.fixture(scope="module")
def nas() -> Iterator[NasServer]:
    with nas_server() as server:
        yield server


def test_it_passes_every_check(nas: NasServer) -> None:
    one, two, rotated = (nas.add_agent(name) for name in ("one", "two", "rotated"))
    nas.rotate_token("rotated")
    revoked = nas.add_agent("revoked")
    nas.revoke("revoked")
    tokens = {
        "NAS_TOKEN": one.token,
        "NAS_SECOND_TOKEN": two.token,
        "NAS_EXPIRED_TOKEN": rotated.token,
        "NAS_UNPROVISIONED_TOKEN": revoked.token,
    }
    fires = ["--receive", "--audience", one.audience]
    command = ["--url", nas.url, *fires, "--examples", "15", "--json"]
    done = _run("nas_conformance", *command, **tokens)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert {check["outcome"] for check in report["checks"]} == {"passed"}
    assert report["left_behind"] == []
    for agent in (one, two):
        with NasClient(nas.url, agent.token) as client:
            assert client.list_armed() == []


def test_the_test_double_passes_every_check_but_those_of_fires() -> None:
    double = InMemoryNas()
    double.tokens["another-token"] = "another"
    with httpx.Client(transport=double.transport()) as client:
        given = Options(base_url=double.base_url, token="agent-token", second="another-token")
        report = run(given, client=client)
    assert [verdict for verdict in report.verdicts if verdict.broken] == []
    assert report.ok
    assert report.left_behind == []
    assert double.armed() == {}


def test_schemathesis_finds_nothing(nas: NasServer) -> None:
    agent = nas.add_agent("fuzzed")
    done = _run(
        "schemathesis.cli",
        "run",
        str(ROOT / "openapi" / "nas-agent-cron.yaml"),
        *("--url", nas.url, "--header", f"Authorization: Bearer {agent.token}"),
        *("--checks", "all", "--max-examples", "15", "--seed", "1", "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--generation-database", "none"),
        SCHEMATHESIS_HOOKS="tests.conformance.schemathesis_hooks",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout


def _run(module: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
