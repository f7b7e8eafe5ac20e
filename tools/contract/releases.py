"""What was released: contracts, and the Python surface that came with them.

They are kept under `openapi/released/`: `<version>.yaml`, and `python-<version>.txt`.
"""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.bootstrap import ROOT
from tools.contract import versions
from tools.contract.spec import UnreadableError, load, parsed

SPEC = ROOT / "openapi" / "nas-agent-cron.yaml"
RELEASED = ROOT / "openapi" / "released"
PYTHON = "python-"


class ReleasedError(Exception):
    """A version that is released already would get another content."""


def latest(prefix: str, suffix: str) -> Path | None:
    """The file of the newest release of one kind, or None when there is none yet."""
    found: dict[versions.Version, Path] = {}
    for file in RELEASED.glob(f"{prefix}*{suffix}"):
        try:
            found[versions.parse(file.name[len(prefix) : -len(suffix)])] = file
        except ValueError:
            continue  # a file of another kind
    return found[max(found)] if found else None


def surface() -> tuple[str, list[str]] | None:
    """The version and the lines of the last released Python surface, if there is one."""
    file = latest(PYTHON, ".txt")
    if file is None:
        return None
    return file.name.removeprefix(PYTHON).removesuffix(".txt"), file.read_text().splitlines()


def keep(name: str, text: str) -> str:
    """Keep a released text under a name. Raises ReleasedError when it is another's already."""
    file = RELEASED / name
    if file.exists() and file.read_text() != text:
        raise ReleasedError(f"{file.relative_to(ROOT)} is released and another: a new version?")
    RELEASED.mkdir(exist_ok=True)
    file.write_text(text)
    return str(file.relative_to(ROOT))


def project_version() -> str:
    """The version of the Python project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def contract(base: str | None) -> Mapping[str, Any] | None:
    """The contract that `base` names: a file, a released version or a git revision.

    Without a name it is the last release, and None when there is none.
    """
    if base is None:
        file = latest("", ".yaml")
        return None if file is None else load(file)
    for file in (Path(base), RELEASED / f"{base}.yaml"):
        if file.is_file():
            return load(file)
    name = f"{base}:{SPEC.relative_to(ROOT)}"
    shown = subprocess.run(["git", "show", name], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode:
        raise UnreadableError(f"{base} is no file, no released version and no git revision")
    return parsed(shown.stdout, name)
