"""Log lines on their way to stderr: nobody waits for whoever reads them, or does not."""

import logging
import os
import queue
import sys
import threading
import time
from typing import Final

ROOM: Final = 10_000
"""How many lines wait to be read; those beyond are counted."""
REPEAT_S: Final = 10.0
"""A line that comes again within this time is counted, and told once."""
END_S: Final = 1.0
KEYS: Final = 1_000


class Repeats:
    """Which lines were told of late."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def admit(self, key: str, now: float) -> int | None:
        """Return how often ``key`` came since it was told, to be told now; None: not now."""
        at, count = self._told.get(key, (-REPEAT_S, 0))
        if now - at < REPEAT_S:
            self._told[key] = at, count + 1
            return None
        if len(self._told) >= KEYS:
            self._told.clear()
        self._told[key] = now, 0
        return count


class LineHandler(logging.Handler):
    """Hands lines to a thread that writes them."""

    def __init__(self, handle: int | None = None) -> None:
        """Write to ``handle``, or to stderr."""
        super().__init__()
        self._handle = sys.stderr.fileno() if handle is None else handle
        self._lines: queue.Queue[str | None] = queue.Queue(ROOM)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="nas-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have the line written; count it when there is no room."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Wait a moment for what is still to be written."""
        try:
            self._lines.put(None, timeout=END_S)
        except queue.Full:
            return super().close()
        self._thread.join(END_S)
        return super().close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            if self._lines.empty():
                self._tell_lost()
        self._tell_lost()

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            record = logging.LogRecord("", logging.WARNING, "", 0, "lines_lost", None, None)
            record.fields = {"count": lost, "reason": "nobody read the log"}
            self._write(self.format(record))

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        while data:
            try:
                data = data[os.write(self._handle, data) :]
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # whoever read has gone
                return
