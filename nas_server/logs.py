"""Logs as JSON lines: one event a line, with fields. No token, header or body is a field."""

import contextlib
import json
import logging
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas_sdk._typing import override
from nas_server.log_lines import LineHandler, Repeats

LIBRARIES = ("aiodns", "aiohttp", "asyncio", "nats")
"""Whose errors are logged, too."""
LOGGER = logging.getLogger("nas_server")


def log_event(event: str, *, level: int = logging.INFO, error: bool = False, **fields: Any) -> None:
    """Log an event; ``error`` adds the exception being handled."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": fields}, exc_info=error)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if repeated := getattr(record, "repeated", 0):
            line["repeated"] = repeated
        return json.dumps(line, default=str)


class Counted(logging.Filter):
    """Lets a line through that was not logged of late; how often it came is in the next one."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = f"{record.name} {record.getMessage()} {getattr(record, 'fields', '')}"
        repeated = self._repeats.admit(key, time.monotonic())
        record.repeated = repeated
        return repeated is not None


def terse(record: logging.LogRecord) -> logging.LogRecord:
    """Return what a library says without its words, which may be those of a request."""
    fields: dict[str, Any] = {"library": record.name}
    if record.exc_info and (error := record.exc_info[1]) is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(each.filename).name}:{each.lineno}" for each in frames]
        fields |= {"error": type(error).__name__, "where": where}
    told = logging.LogRecord(
        record.name, record.levelno, record.pathname, record.lineno, "library_message", None, None
    )
    told.fields = fields
    return told


@contextlib.contextmanager
def configured(level: str) -> Iterator[None]:
    """Send the logs of the server to stderr from ``level`` on, while the context is open."""
    handler = LineHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(Counted())
    beside = Beside(handler)
    beside.setLevel(level.upper())
    libraries = [logging.getLogger(name) for name in LIBRARIES]
    before = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False
    for each in libraries:
        each.addHandler(beside)
    try:
        yield
    finally:
        for each in libraries:
            each.removeHandler(beside)
        LOGGER.removeHandler(handler)
        LOGGER.propagate = before[1]
        LOGGER.setLevel(before[0])
        handler.close()


class Beside(logging.Handler):
    """Hands on what libraries say, without their words."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self._handler = handler

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._handler.handle(terse(record))
