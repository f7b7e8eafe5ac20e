"""The demo's front against a real process that serves HTTP and says when it is ready."""

import asyncio
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import httpx
import pytest

from tests.support.patience import PATIENCE_S
from tools.demo.front import Answered, Arrived, AtZero, Front, FrontEvent, Up
from tools.demo.process import ProcessError, Served

_BACKEND = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("X-Pid", str(os.getpid()))
        self.end_headers()
        self.wfile.write(self.headers["Authorization"].encode() + b" " + body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("noise first", flush=True)
print(f"READY port={server.server_port}", flush=True)
server.serve_forever()
"""
_BROKEN = "import sys; sys.exit('no database')"
_ROOT = Path(__file__).resolve().parents[2]
_READY = re.compile(r"READY port=(\d+)")


def program(text: str, directory: Path) -> Served:
    return Served([sys.executable, "-c", text], dict(os.environ), directory / "log", _READY)


class Seen:
    """What the front told, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[FrontEvent] = []
        self._zero = asyncio.Event()

    def __call__(self, event: FrontEvent) -> None:
        self.events.append(event)
        if isinstance(event, AtZero):
            self._zero.set()

    async def zero(self) -> None:
        await asyncio.wait_for(self._zero.wait(), PATIENCE_S)
        self._zero.clear()


@asynccontextmanager
async def front_of(
    machine: Served, idle: float, busy: Callable[[], bool] = lambda: False
) -> AsyncIterator[tuple[httpx.AsyncClient, Seen]]:
    seen = Seen()
    front = Front(machine, seen, idle=idle, busy=busy)
    headers = {"Authorization": "Bearer t"}
    try:
        async with httpx.AsyncClient(base_url=await front.start(), headers=headers) as client:
            yield client, seen
    finally:
        await front.close()
    assert not machine.running


async def test_a_request_starts_the_machine_and_is_forwarded_whole(tmp_path: Path) -> None:
    machine = program(_BACKEND, tmp_path)
    async with front_of(machine, idle=60) as (client, seen):
        assert not machine.running

        answer = await client.post("/any/path", content=b'{"job_id":"a"}')

        assert (answer.status_code, answer.text) == (202, 'Bearer t {"job_id":"a"}')
        assert answer.headers["X-Pid"] == str(machine.pid)
        arrived, up, answered = seen.events
        assert isinstance(arrived, Arrived)
        assert arrived.request.was_down
        assert arrived.request.body == b'{"job_id":"a"}'
        assert isinstance(up, Up)
        assert up.held_ms > 0
        assert answered == Answered(arrived.request, 202)


async def test_requests_at_once_share_one_start(tmp_path: Path) -> None:
    machine = program(_BACKEND, tmp_path)
    async with front_of(machine, idle=60) as (client, seen):
        answers = await asyncio.gather(*(client.post("/x", content=b"") for _ in range(8)))
        later = await client.post("/x", content=b"")

    assert len({answer.headers["X-Pid"] for answer in [*answers, later]}) == 1
    down = [event.request.was_down for event in seen.events if isinstance(event, Up)]
    assert (down[0], down[-1]) == (True, False)
    last = [event for event in seen.events if isinstance(event, Up)][-1]
    assert last.held_ms == 0


async def test_an_idle_machine_goes_to_zero_and_comes_back(tmp_path: Path) -> None:
    machine = program(_BACKEND, tmp_path)
    async with front_of(machine, idle=0.01) as (client, seen):
        first = await client.post("/x", content=b"")
        await seen.zero()
        assert not machine.running
        second = await client.post("/x", content=b"")
        await seen.zero()

    assert first.headers["X-Pid"] != second.headers["X-Pid"]
    assert machine.seconds > 0


async def test_a_busy_machine_is_not_stopped(tmp_path: Path) -> None:
    asked = iter([True, True, False])
    machine = program(_BACKEND, tmp_path)
    up_when_asked = []

    def busy() -> bool:
        up_when_asked.append(machine.running)
        return next(asked)

    async with front_of(machine, idle=0.01, busy=busy) as (client, seen):
        await client.post("/x", content=b"")
        await seen.zero()

    assert up_when_asked == [True, True, True]


async def test_a_machine_that_died_is_started_again(tmp_path: Path) -> None:
    machine = program(_BACKEND, tmp_path)
    async with front_of(machine, idle=60) as (client, seen):
        first = await client.post("/x", content=b"")
        machine.stop()
        second = await client.post("/x", content=b"")

    assert second.status_code == 202
    assert first.headers["X-Pid"] != second.headers["X-Pid"]
    assert [event.request.was_down for event in seen.events if isinstance(event, Up)] == [True] * 2


async def test_a_machine_that_cannot_start_is_a_503(tmp_path: Path) -> None:
    async with front_of(program(_BROKEN, tmp_path), idle=60) as (client, seen):
        answer = await client.post("/x", content=b"")

    assert answer.status_code == 503
    assert isinstance(seen.events[-1], Answered)


def test_what_a_program_said_last_is_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="did not come up:\nno database"):
        program(_BROKEN, tmp_path).start()


def test_a_closed_program_does_not_start(tmp_path: Path) -> None:
    machine = program(_BACKEND, tmp_path)
    machine.close()
    with pytest.raises(ProcessError, match="not started any more"):
        machine.start()


def test_a_program_deaf_to_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.demo.process._GRACE", 0.05)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _BACKEND
    machine = program(deaf, tmp_path)
    machine.start()
    pid = machine.pid

    machine.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_was_started_ends_with_whoever_started_it(tmp_path: Path) -> None:
    starter = """
import sys
from pathlib import Path
from tests.tools.test_demo_front import _BACKEND, program
machine = program(_BACKEND, Path(sys.argv[1]))
machine.start()
print(machine.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", starter, str(tmp_path)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.kill()

    try:
        assert ended(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def ended(pid: int) -> bool:
    """Whether a process that is no child of ours ends within some seconds."""
    with contextlib.suppress(ProcessLookupError):
        waiting = os.pidfd_open(pid)
        ready, _, _ = select.select([waiting], [], [], 10)
        os.close(waiting)
        return bool(ready)
    return True
