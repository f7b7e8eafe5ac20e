"""A test run that is stopped, however, leaves nothing running that it has started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hermes_host import eventually
from tests.support.patience import PATIENCE_S
from tools.bootstrap import ROOT
from tools.demo.process import tied

RUN = """
import threading
from pathlib import Path
from tests.support.nas_process import nas_process
from tests.support.nas_server import nas_server
from tests.support.nats_cluster import nats_cluster

def test_that_does_not_end(tmp_path):
    with nas_server() as one, nats_cluster(tmp_path, 1) as two, nas_process(tmp_path):
        Path({told!r}).write_text(f"{{one.pid}} {{two.nodes[0].pid}}\\n")
        threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("how", "workers"), [(signal.SIGINT, "0"), (signal.SIGTERM, "1"), (signal.SIGKILL, "1")]
)
def test_a_run_that_is_stopped_leaves_no_server_behind(
    how: signal.Signals, workers: str, tmp_path: Path
) -> None:
    told, base, test = tmp_path / "told", tmp_path / "base", tmp_path / "test_run.py"
    test.write_text(RUN.format(told=str(told)))
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-n", workers, f"--rootdir={ROOT}"]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(
            tied([sys.executable, *command, f"--basetemp={base}", str(test)]),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: told.exists() and told.read_text().endswith("\n"), "the servers")
        pids = {*map(int, told.read_text().split()), *_of(base)}
        assert len(pids) >= 3
        run.send_signal(how)
        run.wait(PATIENCE_S)
        eventually(lambda: not any(map(_runs, pids)), f"the end of {pids}")
    finally:
        run.kill()
        run.wait()


def _of(directory: Path) -> set[int]:
    """The processes that have been told of a directory."""
    commands = Path("/proc").glob("[0-9]*/cmdline")
    return {int(file.parent.name) for file in commands if str(directory) in _read(file)}


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait to be asked how."""
    return _read(Path(f"/proc/{pid}/stat")).rpartition(") ")[2][:1] not in ("", "Z")


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
