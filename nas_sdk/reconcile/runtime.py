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

        The operating system tells; nothing is polled. Needs watchfiles.
        """
        from watchfiles import watch

        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield from watch(
            file.parent,
            watch_filter=lambda _, path: Path(path).name == file.name,
            debounce=300,
            stop_event=stopped,
            recursive=False,
        )
