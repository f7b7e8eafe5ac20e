"""What importing and installing the package costs and brings along."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nas_sdk import __version__

ROOT = Path(__file__).resolve().parents[2]


def modules_after(code: str) -> set[str]:
    """The modules of a fresh interpreter that has run this."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize(
    "code", ["import nas_sdk", "from nas_sdk import NasClient", "from nas_sdk import errors"]
)
def test_importing_brings_nothing_heavy(code: str) -> None:
    loaded = modules_after(code)
    heavy = {"attr", "attrs", "anyio", "jwt", "cryptography", "asyncio", "concurrent.futures"}
    assert loaded & (heavy | {"nas_sdk._generated", "nas_server", "pytest"}) == set()


def test_importing_alone_does_not_even_need_httpx() -> None:
    assert "httpx" not in modules_after("import nas_sdk")


def test_the_client_side_needs_no_extra() -> None:
    loaded = modules_after(
        "import nas_sdk, nas_sdk.reconcile\n"
        "from nas_sdk import *\n"
        "try:\n"
        "    NasClient('http://127.0.0.1:9', 't', max_attempts=1).provision(\n"
        "        'job-1', '2026-06-18T12:34:56Z', 'https://agent.test')\n"
        "except NasConnectionError: pass\n"
    )
    assert loaded & {"jwt", "cryptography", "aiohttp", "prometheus_client", "pytest"} == set()
    assert not [name for name in loaded if name.startswith("nas_server")]


def test_the_pytest_plugin_is_declared_under_its_own_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plugin = "nas_sdk.testing.pytest_plugin"
    assert project["entry-points"]["pytest11"] == {plugin: plugin}


def test_the_pytest_plugin_costs_nothing_where_it_is_not_used() -> None:
    loaded = modules_after("import pytest, nas_sdk.testing.pytest_plugin")
    ours = {name for name in loaded if name.startswith("nas_sdk")}
    assert ours == {"nas_sdk", "nas_sdk.testing", "nas_sdk.testing.pytest_plugin"}
    assert loaded & {"httpx", "httpcore", "anyio", "attr", "h11"} == set()


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(in_memory_nas):\n"
        "    with in_memory_nas.client() as client:\n"
        "        client.cancel('job-1')\n"
        "    assert in_memory_nas.sent('cancel') == [{'job_id': 'job-1'}]\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nas_sdk.testing.pytest_plugin"]
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("value", "shown"), [("debug", 2), ("info", 1), ("INFO ", 1), ("", 0)])
def test_nas_log(value: str, shown: int) -> None:
    program = (
        "from nas_sdk.testing import InMemoryNas\n"
        "nas = InMemoryNas()\n"
        "nas.fail_next(503)\n"
        "nas.client().list_armed()\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "NAS_LOG": value}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert len(done.stderr.splitlines()) == shown, done.stderr
    assert not shown or " nas_sdk INFO list_armed: NAS answered 503" in done.stderr
    assert "agent-token" not in done.stderr
