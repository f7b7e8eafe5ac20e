"""What happened in a world, told one line per event."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


class Story:
    """Told as it happens, and put into words only when somebody wants to read it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._events: list[tuple[float, str, str, tuple[Any, ...]]] = []

    def tell(self, who: str, what: str, *details: Any) -> None:
        self._events.append((self._now(), who, what, details))

    def lines(self) -> list[str]:
        return [_line(*event) for event in self._events]


def _line(when: float, who: str, what: str, details: tuple[Any, ...]) -> str:
    clock = datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S.%f")[:-3]
    text = _request(*details) if what == "request" else what.format(*details)
    return f"{clock}  {who:<12}  {text}"


def _request(operation: str, body: bytes, end: str, fault: str | None) -> str:
    about = ""
    if body:
        members = json.loads(body)
        about = f" {members['job_id']} {members.get('fire_at', '')}".rstrip()
    return f"{operation}{about} -> {end}{f'   [{fault}]' if fault else ''}"
