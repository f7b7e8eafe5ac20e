"""How much of the plugin a hermes loads that only chooses it, as every command of it does."""

import subprocess
import sys
from pathlib import Path

from tests.support.code_lines import code_lines

MOST = 600
"""Lines of code; what is needed seldom is imported when it is."""
LOAD = """
import sys
from types import ModuleType, SimpleNamespace

class CronScheduler: ...

cron, provider = ModuleType("cron"), ModuleType("cron.scheduler_provider")
cron.scheduler_provider, provider.CronScheduler = provider, CronScheduler
sys.modules.update({"cron": cron, "cron.scheduler_provider": provider})

import chronos_plugin, chronos_plugin.verify
chosen = []
chronos_plugin.register(SimpleNamespace(register_cron_scheduler=chosen.append))
assert [each.name for each in chosen] == ["chronos"]
"""
LOADED = """
import sys
ours = [each for name, each in sys.modules.items() if name.split(".")[0] == "chronos_plugin"]
print(*(each.__file__ for each in ours), sep="\\n")
"""


def count(files: str) -> int:
    """The lines of code of these files, one a line."""
    paths = [Path(each) for each in files.split("\n") if each]
    assert {"scheduler.py", "verify.py", "plugin_runtime.py"} <= {path.name for path in paths}
    assert not any("cli" in path.parts for path in paths)
    return sum(code_lines(path.read_text("utf-8")) for path in paths)


def test_lines_without_code_do_not_count() -> None:
    text = '"""Doc."""\n\n# why\nx = (\n    1,  # one\n\n)\n\n\ndef f():\n    """Doc."""\n'
    text += "    return x\n"
    assert code_lines(text) == 5


def test_hermes_loads_little_to_choose_it() -> None:
    command = [sys.executable, "-c", LOAD + LOADED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert count(done.stdout) <= MOST
