"""`python -m benchmarks.side_by_side HERMES_ENV`; called by scripts/bench, which sets it up."""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.side_by_side import growth, report
from benchmarks.side_by_side.agent import RunError, World
from benchmarks.side_by_side.figures import Result, Row
from benchmarks.side_by_side.nas import SlowNas
from benchmarks.side_by_side.rows import QUICK, Sizes, measure, tasks
from tools.demo.process import ProcessError

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAME = "benchmark"
HERMES = "0.19.0"
_TABLE = re.compile(r"(?<=<!-- figures -->\n).*(?=<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the provider hermes bundles and ours on the same work.",
    )
    names = [task.name for task in tasks(Sizes())]
    parser.add_argument("hermes_env", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"only: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer jobs and runs: minutes less")
    parser.add_argument("--json", action="store_true", help="print rows and ratios as JSON")
    parser.add_argument("--write", action="store_true", help="put the result into docs/")
    given = parser.parse_intermixed_args(arguments)
    sizes = QUICK if given.quick else Sizes()
    known = [task.name for task in tasks(sizes)]
    if unknown := set(given.names).difference(known):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if given.write and (given.names or given.quick):
        parser.error("--write is for a whole run, without --quick and without rows")
    try:
        result = run(given.hermes_env, sizes, given.names)
    except (RunError, ProcessError, TimeoutError) as error:
        print(f"the benchmark failed: {error}", file=sys.stderr)
        return 1
    if given.write:
        write(result, DOCS)
    print(json.dumps(result.to_json(), indent=1) if given.json else report.terminal(result))
    return 0


def run(hermes_env: Path, sizes: Sizes, names: Sequence[str] = ()) -> Result:
    """Measure the rows of these names, by default all."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    wanted = [task for task in tasks(sizes) if task.name in names or not names]
    rows: list[Row] = []
    with _world(hermes_env) as world:
        for number, task in enumerate(wanted, 1):
            _say(f"{number} of {len(wanted)}: {task.title} …")
            rows.append(measure(task, world))
        _say("")
    about = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hermes": HERMES,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": load,
        "minutes": round((time.monotonic() - begun) / 60, 1),
    }
    return Result(about, tuple(rows))


def write(result: Result, docs: Path) -> None:
    """Put figures, chart and table where the documentation has them."""
    (docs / f"{NAME}.json").write_text(json.dumps(result.to_json(), indent=1) + "\n")
    (docs / f"{NAME}.svg").write_text(growth.chart(result))
    page = docs / f"{NAME}.md"
    page.write_text(_TABLE.sub(lambda _: report.page(result), page.read_text()))


@contextmanager
def _world(hermes_env: Path) -> Iterator[World]:
    nas = SlowNas()
    with tempfile.TemporaryDirectory(prefix="chronos-bench-") as directory:
        world = World(nas, hermes_env, Path(directory))
        with nas.serving(world.bundle):
            yield world


def _say(text: str) -> None:
    """Progress, on one line of a terminal; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:79]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
