"""`chronos install` beside a hermes that pip or uv installed, through upgrades and removals."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.stub_hermes import FILES
from tests.support.wheels import make_ours, make_wheel

WHICH = (
    "import sys, plugins.cron_providers as p; p.load_cron_scheduler('chronos');"
    "from plugins.cron_providers.chronos import verify;"
    "print(sys.modules['plugins.cron_providers.chronos'].__file__, verify.__file__)"
)


class Machine:
    """Where a person has hermes from one package manager, and ours in a place of its own."""

    def __init__(self, root: Path, wheels: Path, kind: str) -> None:
        self.root, self.wheels, self.kind = root, wheels, kind
        self.bin = root / "bin"
        self.bin.mkdir()
        self.variables: Mapping[str, str] = {
            "PATH": f"{self.bin}:{os.defpath}",
            "HOME": str(root),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(wheels),
            "UV_OFFLINE": "1",
            "UV_PYTHON": sys.executable,
            "UV_TOOL_DIR": str(root / "tools"),
            "UV_TOOL_BIN_DIR": str(self.bin),
            "UV_CACHE_DIR": str(root / "cache"),
        }

    def run(self, *command: object) -> "subprocess.CompletedProcess[str]":
        words = [str(word) for word in command]
        return subprocess.run(words, env=self.variables, capture_output=True, text=True)

    def done(self, *command: object) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def offer(self, version: str) -> None:
        """Publish a hermes release."""
        make_wheel(
            self.wheels, "hermes-agent", version, FILES, script="hermes = hermes_cli.main:main"
        )

    def install_hermes(self) -> None:
        if self.kind == "uv":
            shutil.copy(Path(sys.executable).with_name("uv"), self.bin)
            self.done("uv", "tool", "install", "hermes-agent")
        else:
            # Some systems' venv comes without what puts pip into it; they have a pip themselves.
            self.done(sys.executable, "-m", "venv", "--without-pip", self.root / "venv")
            (site,) = self.root.glob("venv/lib/python*/site-packages")
            where = "import pip; print(pip.__path__[0])"
            (site / "pip").symlink_to(
                self.done(Path(sys.executable).resolve(), "-c", where).strip()
            )
            self.done(self.root / "venv/bin/python", "-m", "pip", "install", "hermes-agent")
            (self.bin / "hermes").symlink_to(self.root / "venv/bin/hermes")

    def upgrade_hermes(self) -> None:
        if self.kind == "uv":
            self.done("uv", "tool", "upgrade", "hermes-agent")
        else:
            self.done(self.python, "-m", "pip", "install", "-U", "hermes-agent")

    def remove_ours(self) -> None:
        if self.kind == "uv":
            self.done("uv", "pip", "uninstall", "--python", self.python, "nas-sdk")
        else:
            self.done(self.python, "-m", "pip", "uninstall", "-y", "nas-sdk")

    @property
    def python(self) -> Path:
        """The Python that runs this hermes."""
        return (self.bin / "hermes").resolve().with_name("python")

    def chronos(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Our command, from another environment than hermes's."""
        return self.run(sys.executable, "-P", "-m", "chronos_plugin.cli", *arguments)

    def loads_ours(self) -> bool:
        files = self.done(self.python, "-P", "-c", WHICH).split()
        assert len({"chronos_plugin" in file for file in files}) == 1
        return "chronos_plugin" in files[0]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    made = tmp_path_factory.mktemp("wheels")
    make_ours(made)

    def copy(to: Path) -> Path:
        shutil.copytree(made, to)
        return to

    return copy


@pytest.mark.parametrize("kind", ["pip", "uv"])
def test_a_life(kind: str, tmp_path: Path, wheels: Callable[[Path], Path]) -> None:
    machine = Machine(tmp_path, wheels(tmp_path / "wheels"), kind)
    machine.offer("0.19.0")
    machine.install_hermes()

    # Refused with a command that can be run as it stands, but for where ours comes from.
    refused = machine.chronos("install")
    assert refused.returncode == 1
    said = re.search(r"run: (.*)$", refused.stderr.strip())
    assert said is not None, refused.stderr
    (ours,) = machine.wheels.glob("nas_sdk-*.whl")
    machine.done(*shlex.split(re.sub(r"'[^']*\[chronos\]'", f"'{ours}[chronos]'", said[1])))

    told = machine.chronos("install")
    assert told.returncode == 0, told.stderr
    assert f"run by {machine.python.parent}" in told.stdout
    assert machine.loads_ours()
    machine.done("chronos" if kind == "uv" else machine.python.with_name("chronos"), "--help")

    machine.offer("0.20.0")
    machine.upgrade_hermes()
    assert "hermes-agent 0.20.0" in machine.chronos("install", "--dry-run").stdout
    assert machine.loads_ours()

    machine.remove_ours()
    start = machine.run(machine.python, "-c", "print(1)")
    assert (start.stdout, start.stderr) == ("1\n", "")
    assert not machine.loads_ours()

    assert machine.chronos("uninstall").returncode == 0
    assert not [*machine.python.parents[1].rglob("*chronos_hook*")]


def test_no_write_access_is_told(tmp_path: Path, wheels: Callable[[Path], Path]) -> None:
    machine = Machine(tmp_path, wheels(tmp_path / "wheels"), "pip")
    machine.offer("0.19.0")
    machine.install_hermes()
    machine.done(machine.python, "-m", "pip", "install", *machine.wheels.glob("nas_sdk-*.whl"))
    (site,) = machine.python.parents[1].glob("lib/python*/site-packages")
    (site / "_chronos_hook.py").mkdir()  # in the way of everybody, root included
    refused = machine.chronos("install")
    assert refused.returncode == 1
    assert re.fullmatch(r"chronos install: cannot write .*; run it as its owner\n", refused.stderr)
    assert not [*site.glob("*.tmp")]
