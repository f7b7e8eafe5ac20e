"""A hermes of a few lines: enough of it for the hook to be installed beside."""

import os
import subprocess
import sys
from pathlib import Path

import attrs

import chronos_plugin

ROOT = Path(chronos_plugin.__file__).resolve().parents[1]
WHICH = (
    "import sys, plugins.cron_providers as p; p.load_cron_scheduler('chronos');"
    "from plugins.cron_providers.chronos import verify;"
    "print(sys.modules['plugins.cron_providers.chronos'].__file__, verify.__file__)"
)

_LOADER = """
import importlib, sys
from pathlib import Path
class Collector:
    provider = None
    def register_cron_scheduler(self, provider):
        self.provider = provider
def load_cron_scheduler(name):
    module = importlib.import_module(f"plugins.cron_providers.{name}")
    collector = Collector()
    module.register(collector)
    return collector.provider
"""
_BUNDLED = """
class Bundled:
    pass
def register(ctx):
    ctx.register_cron_scheduler(Bundled())
"""
_SCHEDULERS = "class CronScheduler:\n    def fire_due(self, job_id): ...\n"
FILES = {
    "hermes_cli/__init__.py": "",
    "hermes_cli/main.py": "def main():\n    print('hermes')\n",
    "cron/scheduler_provider.py": _SCHEDULERS,
    "plugins/__init__.py": "",
    "plugins/cron_providers/__init__.py": _LOADER,
    "plugins/cron_providers/chronos/__init__.py": _BUNDLED,
    "plugins/cron_providers/chronos/verify.py": "",
}
"""What its wheel holds, by path."""


class StubEnvironment:
    """A Python with that hermes, and ours on its path."""

    def __init__(self, prefix: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
        self.python = prefix / "bin" / "python"
        self.site = next(prefix.glob("lib/python*/site-packages"))
        self.ours = self.site / "ours.pth"
        self.hermes = prefix / "bin" / "hermes"
        self.hermes.write_text(f"#!{self.python}\n")
        self.hermes.chmod(0o755)
        self.release("0.19.0")
        for path, text in FILES.items():
            self.write(path, text)
        self.add_ours()

    def add_ours(self) -> None:
        packages = Path(attrs.__file__).resolve().parents[1]
        self.ours.write_text(f"{ROOT}\n{packages}\n")

    def release(self, version: str) -> None:
        metadata = f"Metadata-Version: 2.1\nName: hermes-agent\nVersion: {version}\n"
        self.write(f"hermes_agent-{version}.dist-info/METADATA", metadata)

    def write(self, path: str, text: str) -> None:
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [self.python, "-c", code]
        given = {"PATH": os.defpath, **environment}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def which(self, **environment: str) -> list[str]:
        """`ours` or `bundled`, for the provider and the verifier."""
        done = self.run(WHICH, **environment)
        assert done.returncode == 0, done.stderr
        files = done.stdout.split()
        return ["ours" if "chronos_plugin" in file else "bundled" for file in files]

    def files(self) -> set[str]:
        return {str(path.relative_to(self.site)) for path in self.site.rglob("*chronos_hook*")}
