"""Run by the Python of a hermes environment: prints which cron provider hermes loads there."""

import json
import sys
from importlib import import_module
from importlib.metadata import version

provider = type(import_module("cron.scheduler_provider").resolve_cron_scheduler())
verify = import_module("plugins.cron_providers.chronos.verify")
loaded = {
    "provider": f"{provider.__module__}.{provider.__qualname__}",
    "verifier": verify.get_fire_verifier.__module__,
    "version": version("nas-sdk"),
    "hermes": version("hermes-agent"),
}
json.dump(loaded, sys.stdout)
