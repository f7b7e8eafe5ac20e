"""Copies of the checkout, so that nothing is planted in it, each with a process for tests."""

from __future__ import annotations

import compileall
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

ROOT: Final = Path(__file__).parents[2]
NEEDED: Final = ("hermes", "redocly")
"""What is set up below .cache and tests may need."""


class Worker:
    """A process that runs tests in the first copy that no other run has."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def __enter__(self) -> Self:
        self._lock, tree = _free_tree(self._cache)
        _refresh(tree)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutation.run"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        self._lock.close()

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have it do something; see `run.main`."""
        sent, got = self._process.stdin, self._process.stdout
        assert sent is not None
        assert got is not None
        sent.write(json.dumps(order) + "\n")
        sent.flush()
        answer: dict[str, Any] = json.loads(got.readline())
        return answer


def _free_tree(cache: Path) -> tuple[IO[str], Path]:
    number = 0
    while True:
        lock = (cache / f"tree-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock, cache / f"tree-{number}"
        except BlockingIOError:
            lock.close()
            number += 1


def _refresh(tree: Path) -> None:
    """Have in it what git knows or would take, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for file in tree.rglob("*"):
        here = file.relative_to(tree)
        is_ours = here.parts[0] == ".cache" or file.suffix == ".pyc"
        if file.is_file() and not is_ours and str(here) not in names:
            file.unlink()
    for name in names:
        new, old = ROOT / name, tree / name
        if not old.exists() or old.stat().st_mtime_ns != new.stat().st_mtime_ns:
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(new, old)
    (tree / ".cache").mkdir(exist_ok=True)
    for name in NEEDED:
        link = tree / ".cache" / name
        if not link.exists():
            link.symlink_to(ROOT / ".cache" / name)
    for package in ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin"):
        compileall.compile_dir(tree / package, quiet=2)
