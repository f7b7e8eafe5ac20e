"""Copied into a hermes environment: says what a running hermes process has loaded.

Started by a .pth line in every Python of that environment; inert without the variable.
At SIGRTMIN+7, and at a normal end, the process writes what it has loaded into a file named
by its process id in the directory the variable names.
"""

import atexit
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

VARIABLE = "CHRONOS_LOADED_PROBE"
SIGNAL = signal.SIGRTMIN + 7


def _tell(_signal: int = 0, _frame: FrameType | None = None) -> None:
    names = ("plugins.cron_providers.chronos", "plugins.cron_providers.chronos.verify")
    provider, verifier = (sys.modules.get(name) for name in names)
    ours = sys.modules.get("nas_sdk._version")
    loaded = {
        "argv": sys.argv,
        "provider": getattr(provider, "__file__", None),
        "verifier": getattr(getattr(verifier, "get_fire_verifier", None), "__module__", None),
        "version": getattr(ours, "__version__", None),
    }
    file = Path(os.environ[VARIABLE]) / f"{os.getpid()}.json"
    part = file.with_suffix(".part")
    part.write_text(json.dumps(loaded))
    part.replace(file)


if VARIABLE in os.environ:
    with contextlib.suppress(ValueError):  # not in the main thread: then nobody will ask
        signal.signal(SIGNAL, _tell)
    atexit.register(_tell)
