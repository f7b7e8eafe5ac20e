"""Environments with a hermes release in them, for tests to install into and to spoil."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support import loaded_probe

ROOT = Path(__file__).resolve().parents[2]
MAIN = "0.19.0"
"""The release everything is tried on; on the others, loading and one fire."""
VERSIONS = ("0.18.2", MAIN, "0.20.6.post1", "0.21.3.post1", "0.22.2.post1")
"""One of each generation of hermes's scheduler, and the latest."""
ENVIRONMENTS = "CHRONOS_HERMES_ENVIRONMENTS"
"""Names another directory than .cache/hermes with an environment for each release."""
_LAUNCHER = "import sys\nfrom hermes_cli.main import main\nsys.exit(main())\n"


@dataclass(frozen=True)
class HermesEnvironment:
    """A throw-away environment on top of the cached one of a hermes release.

    It has the packages of the cached one and this checkout's, but nothing in it is shared
    with another test and no .pth file of the cached one is run, so our hook is in it only
    once it was installed there.
    """

    version: str
    prefix: Path

    @classmethod
    def create(cls, version: str, prefix: Path) -> "HermesEnvironment":
        base = cached_environment(version)
        python = base / "bin" / "python"
        subprocess.run([python, "-m", "venv", "--without-pip", prefix], check=True)
        made = cls(version, prefix)
        inherited = next(base.glob("lib/python*/site-packages"))
        (made.site_packages / "inherited.pth").write_text(f"{inherited}\n")
        for package in ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin"):
            (made.site_packages / package).symlink_to(ROOT / package)
        probe = Path(loaded_probe.__file__)
        shutil.copy(probe, made.site_packages)
        (made.site_packages / "loaded_probe.pth").write_text(f"import {probe.stem}\n")
        made.hermes.write_text(f"#!{made.python}\n{_LAUNCHER}")
        made.hermes.chmod(0o755)
        return made

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    @property
    def hermes(self) -> Path:
        return self.prefix / "bin" / "hermes"

    @cached_property
    def site_packages(self) -> Path:
        return next(self.prefix.glob("lib/python*/site-packages"))

    @cached_property
    def forwards_fires(self) -> bool:
        """Whether its web servers hand a fire to the gateway instead of running it."""
        servers = self._inherited.glob("hermes_cli/web_server*.py")
        return any("_forward_cron_fire_to_gateway" in file.read_text() for file in servers)

    @property
    def has_web_pages(self) -> bool:
        """Whether the pages of the dashboard are in it."""
        return (self._inherited / "hermes_cli" / "web_dist").is_dir()

    @property
    def _inherited(self) -> Path:
        return Path((self.site_packages / "inherited.pth").read_text().strip())

    def chronos(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our command line in this environment."""
        home = self.prefix.with_name(f"{self.prefix.name}-operator")
        bare = {"PATH": f"{self.prefix / 'bin'}:{os.defpath}", "HOME": str(home)}
        return run([self.python, "-m", "chronos_plugin.cli", *arguments], bare)

    def install_hook(self) -> None:
        """Make the hermes of this environment load ours, as an operator does."""
        done = self.chronos("install", "--hermes", str(self.hermes))
        assert done.returncode == 0, done.stdout + done.stderr


def run(
    command: Sequence[str | Path], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with nothing on its standard input."""
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def cached_environment(version: str) -> Path:
    """Where a hermes release is installed, as nobody changes it."""
    directory = Path(os.environ.get(ENVIRONMENTS, ROOT / ".cache" / "hermes")) / version
    if not (directory / "bin" / "python").exists():
        bootstrap = "python tools/bootstrap.py"
        raise AssertionError(f"no hermes {version} in {directory}: {bootstrap} hermes {version}")
    return directory
