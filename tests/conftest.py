"""What every test runs with."""

import gc
import signal

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
