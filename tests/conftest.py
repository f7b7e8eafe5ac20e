"""What every test runs with."""

import gc
import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.support.contract_fixture",
    "tests.support.matrix",
    "tests.support.selection",
]

# A verdict never depends on how busy the machine is.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

# A run in the background has this ignored, and so would have all that its tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What is loaded to collect the tests lasts as long as the process: nothing of it is garbage.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Look for garbage only among what the tests make."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _loggers_as_before() -> Iterator[None]:
    """A module that leaves a log quieter than it was makes tests fail that come later."""
    before = _loggers()
    yield
    assert _loggers() == before


def _loggers() -> list[tuple[object, ...]]:
    names = ("nas_sdk", "nas_server", "cron.chronos", "aiohttp.server", "asyncio", "nats")
    return [
        (name, each.level, each.propagate, each.disabled, each.handlers[:])
        for name, each in ((name, logging.getLogger(name)) for name in names)
    ] + [("all", logging.root.manager.disable)]
