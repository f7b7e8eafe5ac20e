"""The wheels of hermes releases: fetched, read, and held against what our hooks take."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.host_bases import misfits
from tools.bootstrap import PYTHON
from tools.hosts import signatures
from tools.hosts.releases import Release
from tools.hosts.signatures import NoSchedulerError, Signatures


class NoWheelError(Exception):
    """A release could not be fetched; the text is what pip said."""


def compare(names: Sequence[Sequence[Release]], keep: bool) -> int:
    """Say for each release what is new in it and what of ours does not fit.

    `keep` records them. Returns 0 when all of ours fits, 1 when not, 2 when a release
    could not be read.
    """
    status, found = 0, {}
    for candidates in names:
        try:
            release, has = read(candidates)
        except (NoWheelError, NoSchedulerError) as error:
            print(f"{candidates[0]}: {error}")
            status = status or 2
            continue
        found[release] = has
        wrong = misfits(has)
        status = 1 if wrong else status
        print(f"{release}: {f'{len(wrong)} misfits' if wrong else 'ok'}{_news(release, has)}")
        print("".join(f"    {line}\n" for line in wrong), end="")
    if keep:
        signatures.record(found)
    return status


def _news(release: Release, has: Signatures) -> str:
    """How it differs from what is recorded of it, or of the newest when it is not."""
    known = signatures.recorded()
    like = release if release in known else max(known, key=Release.order)
    lines = signatures.changes(known[like], has)
    against = "" if like == release else f", not recorded; against {like}:"
    return against + "".join(f"\n    {line}" for line in lines)


def read(candidates: Sequence[Release]) -> tuple[Release, Signatures]:
    """The first of these that there is, and its signatures. NoWheelError when there is none."""
    failures = []
    for release in candidates:
        with tempfile.TemporaryDirectory() as directory:
            try:
                wheel = _download(release, Path(directory))
            except NoWheelError as error:
                failures.append(str(error))
                continue
            return Release(release.package, wheel.name.split("-")[1]), signatures.of_wheel(wheel)
    raise NoWheelError("; ".join(failures))


def _download(release: Release, into: Path) -> Path:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    # Another Python's release is read just as well: nothing of it is run.
    any_python = ["--only-binary", ":all:", "--ignore-requires-python", "-d", str(into)]
    command = [PYTHON, "-m", "pip", "download", *quiet, *any_python, str(release)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise NoWheelError(errors[-1].removeprefix("ERROR: ") if errors else done.stderr)
    return next(into.glob("*.whl"))
