"""Logs as JSON lines: one event a line, with fields. No token, header or body is a field."""

import json
import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LIBRARIES = ("aiodns", "aiohttp", "asyncio", "nats")
"""Whose troubles are told, too."""
LOGGER = logging.getLogger("nas_server")


def log_event(event: str, *, level: int = logging.INFO, error: bool = False, **fields: Any) -> None:
    """Log an event; ``error`` adds the exception being handled."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"fields": fields}, exc_info=error)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Terse(JsonLines):
    """Formats what a library says without its words, which may be those of a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {"library": record.name}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            frames = traceback.extract_tb(error.__traceback__)
            where = [f"{Path(each.filename).name}:{each.lineno}" for each in frames]
            fields |= {"error": type(error).__name__, "where": where}
        told = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, "trouble", None, None
        )
        told.fields = fields
        return super().format(told)


def configure(level: str) -> None:
    """Send the logs of the server to stderr from ``level`` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False
    beside = logging.StreamHandler()
    beside.setFormatter(Terse())
    beside.setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).addHandler(beside)
