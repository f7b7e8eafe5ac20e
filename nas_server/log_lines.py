"""Log lines on their way to stderr: nobody waits for whoever reads them, or does not."""

import logging
import os
import queue
import sys
import threading
import time

from nas_sdk._typing import override
from nas_server.policy import LOGS, LogPolicy


class Repeats:
    """Which lines were logged of late."""

    def __init__(self, policy: LogPolicy = LOGS) -> None:
        self._policy = policy
        self._told: dict[str, tuple[float, int]] = {}

    def admit(self, key: str, now: float) -> int | None:
        """Return how often ``key`` came since it was logged, to be logged now; None: not now."""
        repeat_s = self._policy.repeat_s
        at, count = self._told.get(key, (-repeat_s, 0))
        if now - at < repeat_s:
            self._told[key] = at, count + 1
            return None
        if len(self._told) >= self._policy.repeats:
            self._told.clear()
        self._told[key] = now, 0
        return count


class LineHandler(logging.Handler):
    """Hands lines to a thread that writes them."""

    def __init__(self, handle: int | None = None, policy: LogPolicy = LOGS) -> None:
        """Write to ``handle``, or to stderr."""
        super().__init__()
        self._end_s = policy.end_s
        self._handle = sys.stderr.fileno() if handle is None else handle
        self._lines: queue.Queue[str | None] = queue.Queue(policy.room)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="nas-log", daemon=True)
        self._thread.start()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Have the line written; count it when there is no room."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1

    @override
    def close(self) -> None:
        """Wait a moment for what is still to be written."""
        try:
            self._lines.put(None, timeout=self._end_s)
        except queue.Full:
            return super().close()
        self._thread.join(self._end_s)
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
