"""Run tests against mutants: a process that has imported everything else forks for each."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, SupportsIndex

import pytest

from .mutants import MODULE, mutants

ARGUMENTS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # for what is imported ahead
)
SLOWER: Final = 4
"""A mutant that takes so many times as long as no fault has been noticed."""
LEAST_SECONDS: Final = 20.0
GONE: Final = "raise ImportError"
"""A module that is not there. Where no test notices that, none notices anything else of it."""


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has one module be what a mutant says."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._module:
            return None
        usual = importlib.machinery.PathFinder.find_spec(name, path)
        return importlib.util.spec_from_loader(name, self, origin=usual.origin if usual else None)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        module.__file__ = spec.origin if spec else None
        exec(compile(self._source, str(module.__file__), "exec"), vars(module))


class _First(list[Any]):
    """Keeps its first item first: pytest has a finder of its own, and puts it there."""

    def insert(self, at: SupportsIndex, item: Any) -> None:
        super().insert(max(1, int(at)), item)


def examine(
    module: str, tests: Sequence[str], scratch: Path, part: tuple[int, int]
) -> dict[str, Any]:
    """Try one `part` (number, of how many) of a module's mutants in this process's directory.

    RuntimeError when the tests fail without any.
    """
    source = Path(*module.split(".")).with_suffix(".py").read_text()
    mine = list(mutants(source))[part[0] :: part[1]]
    if not mine:
        return {"tried": 0, "alive": []}
    names = scratch / "modules.json"
    for _ in range(2):  # with and without the modules that are imported ahead
        began = time.monotonic()
        if _tested(module, source, tests, math.inf, names):
            told = names.with_suffix(".log").read_text()
            raise RuntimeError(f"the tests of {module} fail without a mutant:\n{told}")
        _preload(json.loads(names.read_text()))
        usual = time.monotonic() - began
    if not _tested(module, GONE, tests, math.inf):
        return {"tried": len(mine), "alive": [[f"{MODULE}: {GONE}", 1]]}
    limit = max(LEAST_SECONDS, SLOWER * usual)
    alive = [each for each in mine if not _tested(module, each.source, tests, limit)]
    return {"tried": len(mine), "alive": [[each.name, each.line] for each in alive]}


def _preload(names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _tested(
    module: str, source: str, tests: Sequence[str], limit: float, names: Path | None = None
) -> bool:
    """Whether a test fails, in a process of its own."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os._exit(_test(module, source, tests, names))
    return _end_of(child, limit) != 0


def _test(module: str, source: str, tests: Sequence[str], names: Path | None) -> int:
    quiet = os.open(os.devnull, os.O_RDWR)
    said = (
        quiet
        if names is None
        else os.open(names.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    )
    for stream in (1, 2):
        os.dup2(said, stream)
    sys.meta_path = _First([_Planted(module, source), *sys.meta_path])
    told = io.TextIOWrapper(io.FileIO(said, "w", closefd=False), write_through=True)
    try:
        with contextlib.redirect_stdout(told):
            status = int(pytest.main([*ARGUMENTS, *tests]))
    except BaseException:
        os.write(said, traceback.format_exc().encode())
        return 1
    if names is not None:
        names.write_text(json.dumps([name for name in sys.modules if _is_foreign(name)]))
    return status


def _is_foreign(name: str) -> bool:
    """Whether a module is none of this directory's, nor has to see pytest begin."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    ours = Path(file).is_absolute() and Path(file).is_relative_to(Path.cwd())
    return not ours and not name.startswith(("_pytest", "pytest", "__"))


def _end_of(child: int, limit: float) -> int:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] or 1


if __name__ == "__main__":
    what = json.loads(sys.argv[1])
    found = examine(what["module"], what["tests"], Path(what["scratch"]), tuple(what["part"]))
    print(json.dumps(found))
