"""What an agent's processes leave on disk: who serves, and what fired."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chronos_plugin.serving_status import Fired, Running, ServingStatus
from tests.support.patience import PATIENCE_S

SERVE = """
import sys
from pathlib import Path
from chronos_plugin.serving_status import ServingStatus
records = ServingStatus(Path(sys.argv[1]))
records.serve("/a/module", "1.2.3", 5.0)
print("serving", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def records(tmp_path: Path) -> ServingStatus:
    return ServingStatus(tmp_path / "chronos")


@contextmanager
def a_process_that_serves(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield process


def test_a_process_is_seen_until_it_ends(records: ServingStatus) -> None:
    with a_process_that_serves(records.folder) as process:
        assert records.running() == [Running(process.pid, "/a/module", "1.2.3", 5.0)]
    assert records.running() == []


def test_one_that_was_killed_serves_no_more_and_is_swept(records: ServingStatus) -> None:
    with a_process_that_serves(records.folder) as process:
        process.send_signal(signal.SIGKILL)
    (left,) = records.folder.glob("*.json")
    assert records.running() == []
    records.serve("/another", "2", 7.0)
    assert not left.exists()
    assert [each.pid for each in records.running()] == [os.getpid()]


def test_another_s_record_is_not_swept(records: ServingStatus) -> None:
    with a_process_that_serves(records.folder) as process:
        records.serve("/mine", "2", 7.0)
        assert [each.pid for each in records.running()] == [process.pid, os.getpid()]


def test_only_the_owner_may_read_who_serves(records: ServingStatus) -> None:
    before = os.umask(0)
    try:
        records.serve("/mine", "1", 1.0)
    finally:
        os.umask(before)
    (file,) = records.folder.glob("*.json")
    assert [oct(path.stat().st_mode & 0o777) for path in (records.folder, file)] == [
        "0o700",
        "0o600",
    ]


def test_only_the_owner_may_read_what_fired(records: ServingStatus) -> None:
    before = os.umask(0)
    try:
        records.fired("a", 1.0, 2.0)
    finally:
        os.umask(before)
    assert records.folder.stat().st_mode & 0o777 == 0o700


def test_to_serve_is_said_once(records: ServingStatus) -> None:
    records.serve("/mine", "1", 1.0)
    records.serve("/mine", "1", 2.0)
    ServingStatus(records.folder).serve("/mine", "1", 1.0)  # such as the reconciler of another NAS
    assert records.running() == [Running(os.getpid(), "/mine", "1", 1.0)]


def test_many_threads_may_say_at_once_that_they_serve(tmp_path: Path) -> None:
    program = f"""
import sys, threading
from pathlib import Path
from chronos_plugin.serving_status import ServingStatus
sys.setswitchinterval(1e-6)
for attempt in range(20):
    records, together = ServingStatus(Path({str(tmp_path)!r}) / str(attempt)), threading.Barrier(8)
    serve = lambda: (together.wait(), records.serve("/mine", "1", 1.0))
    threads = [threading.Thread(target=serve) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(list(records.folder.glob("*.json"))) == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)


def test_the_last_fire_of_each_job_counts(records: ServingStatus) -> None:
    records.fired("a", 10.0, 10.25)
    records.fired("b", 20.0, 20.0)
    records.fired("a", 70.0, 73.0)
    assert records.fires() == {"a": Fired(70.0, 73.0), "b": Fired(20.0, 20.0)}
    assert records.fires()["a"].lateness == 3.0


def test_fires_do_not_grow_for_ever(records: ServingStatus) -> None:
    line = '{"job_id": "%s", "due": 1, "at": 2}\n'
    records.folder.mkdir()
    file = records.folder / "fires.jsonl"
    file.write_text(line % "old" + line % "newer" * (9_000))
    records.serve("/mine", "1", 1.0)
    assert file.stat().st_size < 256 * 1024
    assert records.fires().keys() == {"newer"}


def test_fires_do_not_grow_for_ever_in_a_process_that_lives_on(records: ServingStatus) -> None:
    records.serve("/mine", "1", 1.0)
    file = records.folder / "fires.jsonl"
    file.write_text('{"job_id": "older", "due": 1, "at": 2}\n' * (9_000))
    records.fired("new", 3.0, 4.0)
    assert file.stat().st_size < 256 * 1024
    assert records.fires().keys() == {"older", "new"}


def test_what_cannot_be_read_is_passed_over(records: ServingStatus) -> None:
    records.fired("a", 1.0, 2.0)
    with (records.folder / "fires.jsonl").open("ab") as file:
        file.write(b'\xff{"job_id"\n[1]\n{"job_id": "b"}\n')
    assert records.fires().keys() == {"a"}


def test_without_a_place_to_write_nothing_is_said(tmp_path: Path) -> None:
    records = ServingStatus(tmp_path / "missing" / "chronos")
    records.serve("/mine", "1", 1.0)
    records.fired("a", 1.0, 2.0)
    assert records.running() == []
    assert records.fires() == {}
    assert not (tmp_path / "missing").exists()


def _directory(fires: Path) -> None:
    fires.mkdir()


def _not_permitted(fires: Path) -> None:
    fires.write_bytes(b"")
    fires.chmod(0)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte that is no UTF-8, in a large file": lambda it: it.write_bytes(b"\xff\n" * 150_000),
    "half a line": lambda it: it.write_bytes(b'{"job_id": "x", "du'),
    "one line of 300 KiB": lambda it: it.write_bytes(b"x" * 300 * 1024),
    "lines of other things": lambda it: it.write_bytes(
        b'[]\n{"job_id": [], "due": 1, "at": 2}\n{"job_id": "y", "due": "soon", "at": null}\n'
    ),
    "a directory": _directory,
    "no permission": _not_permitted,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_of_fires_keeps_nobody_from_serving_or_firing(
    records: ServingStatus, damage: Callable[[Path], object]
) -> None:
    records.folder.mkdir()
    file = records.folder / "fires.jsonl"
    damage(file)
    records.serve("/mine", "1", 1.0)
    records.fired("a", 1.0, 2.0)
    records.fired("b", 3.0, 4.0)
    assert [each.pid for each in records.running()] == [os.getpid()]
    found = records.fires()
    assert found.keys() <= {"a", "b"}
    if file.is_file() and os.access(file, os.W_OK):
        assert found["b"] == Fired(3.0, 4.0)
        assert file.stat().st_size < 256 * 1024
