"""A hermes of a few lines: enough of it for the hook to be installed beside."""

_LOADER = """
import importlib, sys
from pathlib import Path
class Collector:
    provider = None
    def register_cron_scheduler(self, provider):
        self.provider = provider
def load_cron_scheduler(name):
    module = importlib.import_module(f"plugins.cron_providers.{name}")
    collector = Collector()
    module.register(collector)
    return collector.provider
"""
_BUNDLED = """
class Bundled:
    pass
def register(ctx):
    ctx.register_cron_scheduler(Bundled())
"""
_SCHEDULERS = "class CronScheduler:\n    def fire_due(self, job_id): ...\n"
FILES = {
    "hermes_cli/__init__.py": "",
    "hermes_cli/main.py": "def main():\n    print('hermes')\n",
    "cron/scheduler_provider.py": _SCHEDULERS,
    "plugins/__init__.py": "",
    "plugins/cron_providers/__init__.py": _LOADER,
    "plugins/cron_providers/chronos/__init__.py": _BUNDLED,
    "plugins/cron_providers/chronos/verify.py": "",
}
"""What its wheel holds, by path."""
