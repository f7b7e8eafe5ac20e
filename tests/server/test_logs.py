"""The log of a server that runs in a process with other things in it."""

import json
import logging
from typing import Any

import pytest

from nas_server import logs

NAMES = ("nas_server", "aiodns", "aiohttp", "asyncio", "nats")


def state() -> list[tuple[Any, ...]]:
    loggers = [logging.getLogger(name) for name in NAMES]
    return [(each.level, each.propagate, each.handlers[:]) for each in loggers]


def test_what_is_configured_for_a_server_ends_with_it(capfd: pytest.CaptureFixture[str]) -> None:
    before = state()
    with logs.configured("warning"):
        logs.log_event("unseen")
        logs.log_event("seen", level=logging.WARNING)
        logging.getLogger("nats").error("words of a request")
        assert all(now != then for now, then in zip(state(), before, strict=True))
    assert state() == before
    logs.log_event("after", level=logging.WARNING)
    told = capfd.readouterr().err
    assert told.count('"event": "seen"') == told.count('"library": "nats"') == told.count("\n") - 1


def test_a_warning_is_logged_once_for_each_thing_that_it_is_about(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with logs.configured("info"):
        for job in ("a", "a", "b", "a"):
            logs.log_event("fire_failed", level=logging.WARNING, job_id=job)
            logs.log_event("fire", job_id=job)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    for event, jobs in (("fire_failed", ["a", "b"]), ("fire", ["a", "a", "b", "a"])):
        assert [each["job_id"] for each in told if each["event"] == event] == jobs
