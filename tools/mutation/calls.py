"""Plugins of pytest: which test calls which function, and which test fails first."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

OURS: Final = ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin")


class Calls:
    """Notes for every test how long it takes, and the functions of ours that it calls."""

    def __init__(self) -> None:
        self.tests: dict[str, float] = {}
        self.callers: dict[str, list[str]] = {}
        self.failed: set[str] = set()
        self.slow: set[str] = set()
        self._running = ""
        self._began = 0.0
        self._root = f"{Path.cwd()}/"
        sys.settrace(self._called)
        threading.settrace(self._called)

    def _called(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(self._root):
            return
        file = code.co_filename[len(self._root) :]
        if file.startswith(OURS) and code.co_name[0] != "<":
            name = code.co_qualname.replace(".<locals>", "")
            tests = self.callers.setdefault(
                f"{file.removesuffix('.py').replace('/', '.')}:{name}", []
            )
            if self._running and (not tests or tests[-1] != self._running):
                tests.append(self._running)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep which are none of the fast ones."""
        from tests.support.selection import why_not

        self.slow.update(item.nodeid for item in items if why_not(item))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Time a test with its fixtures."""
        self._running, began = item.nodeid, time.monotonic()
        sys.settrace(self._called)
        try:
            return (yield)
        finally:
            self.tests[item.nodeid] = time.monotonic() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What fails without a mutant says nothing of one."""
        if report.failed:
            self.failed.add(report.nodeid)


class First:
    """Runs chosen tests, all if none are named, and keeps the first that fails."""

    def __init__(self, chosen: Collection[str]) -> None:
        self._chosen = set(chosen)
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out all others."""
        if self._chosen:
            items[:] = [item for item in items if item.nodeid in self._chosen]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it."""
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be loaded has noticed as well."""
        if report.failed:
            self.failed = self.failed or report.nodeid
