"""What the hook costs every Python start, and the provider a hermes that loads it.

    python -m benchmarks.startup [--rounds 50] [--json]

Starts of `python -c pass` in two environments that differ by the hook alone, in turns. Then
hermes 0.19.0 (`tools/bootstrap.py hermes 0.19.0`) with a configured home: how long loading
the provider takes, what of that is ours and how many modules it brings, and what one
`is_available()` costs, in CPU time; the same for the provider hermes bundles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from chronos_plugin.cli import install
from chronos_plugin.cli.install import HOOK, PTH, PTH_LINE
from tests.support.hermes_env import MAIN, HermesEnvironment
from tools.demo.home import AgentHome, NasAccess

LOAD_ROUNDS = 10
LOAD = """
import json, statistics, sys, time
import cron.scheduler_provider, hermes_cli.config, hermes_cli.auth  # hermes has them already
hermes_cli.config.load_config_readonly()
before, began = set(sys.modules), time.process_time()
from plugins.cron_providers import load_cron_scheduler
provider = load_cron_scheduler("chronos")
loaded = time.process_time()
assert provider.is_available()
first = time.process_time()
modules = len(set(sys.modules) - before)
calls = []
for _ in range(200):
    at = time.process_time()
    provider.is_available()
    calls.append(time.process_time() - at)
print(json.dumps({
    "load": loaded - began,
    "first": first - loaded,
    "again": statistics.median(calls),
    "modules": modules,
}))
"""


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--rounds", type=int, default=50, help="starts of each kind (50)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {**starts(Path(folder), args.rounds), **loads(Path(folder))}
    if args.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:<46} {value:10.3f}")
    return 0


def starts(folder: Path, rounds: int) -> dict[str, float]:
    """Milliseconds of a Python start without and with the hook: medians, and the spread."""
    plain, hooked = (_environment(folder / name) for name in ("plain", "hooked"))
    site = next(hooked.parents[1].glob("lib/python*/site-packages"))
    shipped = Path(str(install.__file__)).parents[1] / "hook" / HOOK
    (site / HOOK).write_text(shipped.read_text("utf-8"))
    (site / PTH).write_text(PTH_LINE)
    # As the installer does, also where the machine tells Python to write no bytecode.
    compile_it = f"import py_compile; py_compile.compile({str(site / HOOK)!r})"
    subprocess.run([hooked, "-c", compile_it], check=True)
    took: dict[Path, list[tuple[float, float]]] = {plain: [], hooked: []}
    for number in range(rounds + 1):
        for python in (plain, hooked) if number % 2 else (hooked, plain):
            start = _start(python)
            if number:  # the first fills caches
                took[python].append(start)
    figures = {}
    for index, what in enumerate(("CPU", "wall")):
        without, with_hook = ([each[index] for each in took[python]] for python in (plain, hooked))
        figures[f"start without the hook, {what} ms"] = statistics.median(without)
        figures[f"start with the hook, {what} ms"] = statistics.median(with_hook)
        figures[f"half of those without it lie within, {what} ms"] = _spread(without)
    return figures


def _start(python: Path) -> tuple[float, float]:
    """CPU and wall milliseconds of one start."""
    began = time.perf_counter()
    pid = os.posix_spawn(python, [str(python), "-c", "pass"], os.environ)
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    assert status == 0
    return (usage.ru_utime + usage.ru_stime) * 1000, took * 1000


def loads(folder: Path) -> dict[str, float]:
    """What loading either provider costs hermes, in milliseconds; medians of fresh processes."""
    environment = HermesEnvironment.create(MAIN, folder / "hermes")
    environment.install_hook()
    home = AgentHome(folder / "agent")
    home.hermes.mkdir(parents=True)
    nas = NasAccess("http://127.0.0.1:9", "agent:a", "token")
    home.configure(nas, "http://127.0.0.1:9")
    figures = {}
    for whose, switch in (("ours", "1"), ("bundled", "0")):
        variables = home.environment(environment.prefix / "bin", CHRONOS_HOOK=switch)
        told = [_loaded(environment, variables) for _ in range(LOAD_ROUNDS)]
        for key, name in (("load", "load"), ("first", "first is_available()")):
            median = statistics.median(each[key] for each in told)
            figures[f"{whose}: {name}, CPU ms"] = median * 1000
        again = statistics.median(each["again"] for each in told)
        figures[f"{whose}: is_available() again, CPU ms"] = again * 1000
        figures[f"{whose}: modules loaded for it"] = told[0]["modules"]
    return figures


def _loaded(environment: HermesEnvironment, variables: Mapping[str, str]) -> dict[str, float]:
    command = [str(environment.python), "-P", "-c", LOAD]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))


def _environment(prefix: Path) -> Path:
    command = [os.path.realpath(sys.executable), "-m", "venv", "--without-pip", str(prefix)]
    subprocess.run(command, check=True)
    return prefix / "bin" / "python"


def _spread(times: list[float]) -> float:
    low, _, high = statistics.quantiles(times, n=4)
    return high - low


if __name__ == "__main__":
    sys.exit(main())
