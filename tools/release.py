"""Makes a release: checks, keeps contract and surface, builds, dates the changelog, tags.

    scripts/release            # all of it, here; nothing is pushed or uploaded
    scripts/release --dry-run  # the same in a copy that is thrown away, without the tests
    scripts/release --tested   # this very commit passed scripts/test already

The version is that of pyproject.toml. Exit status: 0, or 1 with what has to be done first.
"""

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = "CHANGELOG.md"


class NotReadyError(Exception):
    """Something has to be done before there can be a release; the text says what."""


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for. Returns the exit status."""
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="scripts/release",
        description=about,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing here")
    parser.add_argument("--tested", action="store_true", help="leave the tests out")
    given = parser.parse_args(arguments)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    try:
        if given.dry_run:
            with tempfile.TemporaryDirectory(prefix="release-") as copy:
                _run(ROOT, "git", "clone", "-q", "--no-hardlinks", ".", copy)
                (tools := Path(copy, ".cache", "redocly")).parent.mkdir()
                tools.symlink_to(ROOT / ".cache" / "redocly")
                release(Path(copy), day, tested=True)
            print("A dry run: nothing was changed, and no test was run.")
        else:
            print(f"Publish it: git push origin HEAD {release(ROOT, day, tested=given.tested)}")
    except NotReadyError as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    return 0


def release(tree: Path, day: str, *, tested: bool) -> str:
    """Make the release of a checkout, which is clean; return its tag. NotReadyError."""
    if _run(tree, "git", "status", "--porcelain"):
        raise NotReadyError("there are changes that are not committed: commit or remove them")
    version = _version(tree)
    tag = f"v{version}"
    if _run(tree, "git", "tag", "--list", tag):
        raise NotReadyError(f"{tag} is there already: raise `version` in pyproject.toml")
    changelog = (tree / CHANGELOG).read_text("utf-8")
    dated_one = dated(changelog, version, day)  # before an hour of tests
    if not tested:
        _run(tree, "scripts/test", shown=True)
    for command in ("lint", "diff", "surface", "release"):
        _run(tree, sys.executable, "-m", "tools.contract", command)
    (tree / CHANGELOG).write_text(dated_one, "utf-8")
    _build(tree, version)
    _run(tree, "git", "add", CHANGELOG, "openapi/released")
    _run(tree, "git", "commit", "-q", "-m", f"Release {version}")
    _run(tree, "git", "tag", "-a", tag, "--cleanup=verbatim", "-m", part(dated_one, version))
    print(f"{tag}: {_run(tree, 'git', 'rev-parse', '--short', 'HEAD')}")
    return tag


def dated(changelog: str, version: str, day: str) -> str:
    """Return a changelog whose part about ``version`` is no longer unreleased."""
    head = f"## {version}, unreleased\n"
    if head not in changelog or not part(changelog, version):
        raise NotReadyError(f"{CHANGELOG} has no part {head[3:].strip()!r} that says anything")
    return changelog.replace(head, f"## {version}, {day}\n")


def part(changelog: str, version: str) -> str:
    """Return what a changelog says of a version."""
    found = re.search(
        rf"^## {re.escape(version)}, [^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def _version(tree: Path) -> str:
    project = re.search(r'^version = "(\S+)"$', (tree / "pyproject.toml").read_text(), re.MULTILINE)
    package = re.search(
        r'^__version__ = "(\S+)"$', (tree / "nas_sdk" / "_version.py").read_text(), re.MULTILINE
    )
    if not project or not package or project[1] != package[1]:
        raise NotReadyError("pyproject.toml and nas_sdk/_version.py name different versions")
    return project[1]


def _build(tree: Path, version: str) -> None:
    for old in (tree / "dist").glob("nas_sdk-*"):
        old.unlink()
    _run(tree, sys.executable, "-m", "hatchling", "build", "-d", "dist")
    for name in (f"nas_sdk-{version}.tar.gz", f"nas_sdk-{version}-py3-none-any.whl"):
        if not (tree / "dist" / name).is_file():
            raise NotReadyError(f"the build made no {name}")
        print(f"dist/{name}: {(tree / 'dist' / name).stat().st_size // 1_000} kB")


def _run(tree: Path, *command: str, shown: bool = False) -> str:
    output = None if shown else subprocess.PIPE
    done = subprocess.run(command, cwd=tree, stdout=output, stderr=output, text=True)
    if done.returncode:
        said = "" if shown else f"\n{(done.stdout + done.stderr).strip()}"
        raise NotReadyError(f"{' '.join(command)} failed{said}")
    return (done.stdout or "").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
