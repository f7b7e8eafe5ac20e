"""Notice that a file was changed, without polling."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from .._core import process
from .runtime import Runtime


class FileWatcher:
    """Watches one file at a time. Safe to use from many threads."""

    def __init__(self, runtime: Runtime, log: logging.Logger) -> None:
        """Start nothing."""
        self._runtime, self._log = runtime, log
        self.forked()
        process.register(self)

    def forked(self) -> None:
        """Whoever watches in the parent does not in a child."""
        self._lock = threading.Lock()
        self._watching = False

    def follow(self, file: Path, stopped: threading.Event, on_change: Callable[[], object]) -> None:
        """Call `on_change` after each change of a file, in a thread, until `stopped` is set.

        A call while it does so changes nothing. A watch that fails is logged,
        and can be started again.
        """
        with self._lock:
            again, self._watching = self._watching, True
        if not again:
            try:
                self._runtime.spawn(lambda: self._follow(file, stopped, on_change), "nas-changes")
            except BaseException:
                self._watching = False  # or no later call would watch
                raise

    def _follow(
        self, file: Path, stopped: threading.Event, on_change: Callable[[], object]
    ) -> None:
        try:
            for _ in self._runtime.changes(file, stopped):
                on_change()
        except Exception as error:
            self._log.warning("changes of %s are not noticed any more: %s", file, error)
        finally:
            self._watching = False
