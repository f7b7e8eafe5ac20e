"""An environment for any hermes release: from its lock, or by name alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tools import bootstrap
from tools.bootstrap import CACHE, ROOT, SetupError
from tools.hosts.releases import Release

_UV = str(Path(sys.executable).with_name("uv"))
_MADE = ".made"
"""A file in an environment without a lock that was made to its end."""


def environment(candidates: Sequence[Release]) -> tuple[Release, str]:
    """Make the environment of the first of these that there is.

    Returns that release and the name of its environment below .cache/hermes. SetupError
    with what each of them failed with.
    """
    failures = []
    for release in candidates:
        try:
            name = _environment(release)
            return Release(release.package, _version(release, CACHE / "hermes" / name)), name
        except SetupError as error:
            failures.append(f"{release}: {_reason(str(error))}")
    raise SetupError("\n".join(failures))


def _environment(release: Release) -> str:
    if _is_locked(release):
        bootstrap.hermes(release.version)
        return release.version
    target = CACHE / "hermes" / f"{release.package}-{release.version}".replace("*", "x")
    if not (target / _MADE).exists():
        _make(target, release)
    return target.name


def _is_locked(release: Release) -> bool:
    """Whether there is a lock for this very package; others have releases of the same number."""
    lock = ROOT / "requirements" / f"hermes-{release.version}.in"
    return lock.exists() and str(release) in lock.read_text("utf-8").split()


def _version(release: Release, target: Path) -> str:
    """The version of a release that is installed in an environment."""
    package = release.package.replace("-", "_")
    (about,) = target.glob(f"lib/python*/site-packages/{package}-*.dist-info")
    return about.name.removesuffix(".dist-info").rpartition("-")[2]


def _make(target: Path, release: Release) -> None:
    """Install a release, what this project needs beside it, and this project, editable."""
    python = str(target / "bin" / "python")
    wanted = [str(release), "-e", f"{ROOT}[chronos,server]"]
    with bootstrap.Progress(f"hermes {release}", target) as progress:
        progress.run([_UV, "venv", "--clear", "--python", bootstrap.PYTHON, str(target)])
        install = [_UV, "pip", "install", "--compile-bytecode", "--python", python]
        progress.run([*install, *wanted])
    (target / _MADE).touch()


def _reason(text: str) -> str:
    """What an installer's output comes down to: its error, in a line, or all of it."""
    error = text.partition("error: ")[2].partition("The whole log")[0]
    return " ".join(error.replace("cause: ", "").split()) or text
