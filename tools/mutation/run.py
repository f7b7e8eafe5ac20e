"""Run tests, with a mutant or without: a process that has imported what is not ours forks."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tools.mutation.calls import Calls, First

ARGUMENTS: Final = (
    *("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # for what is imported ahead
)
PATIENCE_S: Final = 1800.0


def look(file: str, options: Sequence[str]) -> dict[str, Any]:
    """Which functions of ours the tests of a file call."""

    def work() -> dict[str, Any]:
        calls = Calls()
        pytest.main([*ARGUMENTS, *options, file], plugins=[calls])
        sys.settrace(None)
        foreign = [name for name in list(sys.modules) if _is_foreign(name)]
        return {
            "tests": calls.tests,
            "callers": calls.callers,
            "failed": sorted(calls.failed),
            "slow": sorted(calls.slow),
            "modules": foreign,
        }

    return _forked(work, PATIENCE_S) or {"status": -1, "by": "no end"}


def attempt(module: str, source: str, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Plant a mutant, and run one round of tests after the other until one notices."""
    file = Path(*module.split(".")).with_suffix(".py")
    kept = file.with_suffix(".kept")
    shutil.copy2(file, kept)
    began = time.monotonic()
    ran = 0
    try:
        file.write_text(source, encoding="utf-8")
        # Never the time of what was compiled: only that and the size tell them apart.
        os.utime(file, (began, 1_000_000_000 + int(began)))
        for each in rounds:

            def work(each: dict[str, Any] = each) -> dict[str, Any]:
                sys.dont_write_bytecode = True
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
                first = First(each["tests"])
                status = pytest.main(
                    [*ARGUMENTS, "-x", *each["options"], *each["files"]], plugins=[first]
                )
                return {"status": int(status), "by": first.failed}

            told = _forked(work, each["limit"])
            ran += 1
            state = "hung" if told is None else "caught"
            if told is None or told["by"] or told["status"] not in (0, 5):
                by = told["by"] or f"status {told['status']}" if told else each["files"][0]
                return {
                    "state": state,
                    "by": by,
                    "rounds": ran,
                    "slow": each["slow"],
                    "s": _since(began),
                }
    finally:
        shutil.move(kept, file)
    return {"state": "lives", "by": "", "rounds": ran, "s": _since(began)}


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _forked(work: Callable[[], dict[str, Any]], limit: float) -> dict[str, Any] | None:
    """What `work` says in a process of its own; None if it does not end in time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reading)
        with Path("said.log").open("w") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        try:
            answer = json.dumps(work())
        except BaseException:
            answer = json.dumps({"status": -1, "by": traceback.format_exc()[-200:]})
        with os.fdopen(writing, "w") as out:
            out.write(answer)
        os._exit(0)
    os.close(writing)
    told = b""
    end = time.monotonic() + limit
    while (left := end - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            if not (more := os.read(reading, 65_536)):
                break
            told += more
    os.close(reading)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if left <= 0:
        return None
    said: dict[str, Any] = json.loads(told or b'{"status": -2, "by": ""}')
    return said


def _is_foreign(name: str) -> bool:
    """Whether a module is none of this directory's, nor has to see pytest begin."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    ours = Path(file).is_absolute() and Path(file).is_relative_to(Path.cwd())
    return not ours and not name.startswith(("_pytest", "pytest", "__"))


def main() -> None:
    """Do what each line of stdin asks for, and answer with a line."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, Any] = {}
        if "import" in order:
            for name in order["import"]:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        elif "look" in order:
            answer = look(order["look"], order["options"])
        else:
            answer = attempt(order["module"], order["source"], order["rounds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
