"""What every test runs with."""

import signal

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
