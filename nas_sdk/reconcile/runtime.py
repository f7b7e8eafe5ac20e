"""Time, threads and file notification: the one seam for them, replaced in tests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from .._core.clock import Clock

_log = logging.getLogger("nas_sdk")


class Runtime(Clock):
    """The real ones."""

    def condition(self) -> threading.Condition:
        """What threads wait on."""
        return threading.Condition()

    def spawn(self, target: Callable[[], object], name: str) -> None:
        """Run `target` in a thread that does not keep the process alive."""

        def run() -> None:
            try:
                target()
            except Exception as error:
                _log.warning("%s has ended: %s: %s", name, type(error).__name__, error)

        threading.Thread(target=run, name=name, daemon=True).start()

    def changes(self, file: Path, stopped: threading.Event) -> Iterator[object]:
        """Yield after every change of a file that is replaced as a whole, until `stopped`.

        Its directory may be replaced, too. The operating system tells; nothing is polled.
        Needs watchfiles.
        """
        from watchfiles import Change, watch

        folder = file.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

        def is_told(change: Change, path: str) -> bool:
            name = Path(path).name
            # The directory is modified by whoever sets its mode.
            return name == file.name or (name == folder.name and change is not Change.modified)

        while not stopped.is_set():
            # What watches a directory does not watch another that takes its place.
            there = [folder, folder.parent] if folder.is_dir() else [folder.parent]
            for changes in watch(
                *there, watch_filter=is_told, debounce=300, stop_event=stopped, recursive=False
            ):
                yield changes
                if any(Path(path).name == folder.name for _, path in changes):
                    break
