"""Everything the demo plays with, in one temporary directory: NAS, front, hermes."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_sdk import AsyncNasClient
from tools.demo.front import Front, FrontEvent
from tools.demo.home import AgentHome, NasAccess
from tools.demo.process import Served, tail

IDLE = 3.0
"""Seconds without work after which the front stops hermes."""

_NAS = [sys.executable, "-m", "nas_server"]
_PROBE = Path(__file__).with_name("probe.py")


class StageError(Exception):
    """A command of the set-up failed; the text is for the person at the terminal."""


@dataclass(slots=True)
class Stage:
    """The demo's world. `hermes_env` is the environment hermes and our plugin are in."""

    hermes_env: Path
    home: AgentHome
    machine: Served
    nas: AsyncNasClient
    happenings: asyncio.Queue[FrontEvent]
    cli_seconds: float = field(default=0.0, init=False)

    @property
    def hermes_seconds(self) -> float:
        """How long any hermes process has been running: the machine's and the command line's."""
        return self.machine.seconds + self.cli_seconds

    async def hermes(self, *arguments: str) -> None:
        """Run the hermes command line. Raises StageError with what it said."""
        begun = time.monotonic()
        await self._run(str(self.hermes_env / "bin" / "hermes"), *arguments)
        self.cli_seconds += time.monotonic() - begun

    async def provider(self) -> dict[str, str]:
        """What a fresh hermes process loads: its version, the provider's module and version."""
        said = await self._run(str(self.hermes_env / "bin" / "python"), "-P", str(_PROBE))
        answer: dict[str, str] = json.loads(said)
        return answer

    def last_words(self) -> str:
        """How the logs of the processes end: for a failure nobody foresaw."""
        logs = [*self.home.root.parent.glob("*.log"), self.home.hermes / "logs" / "agent.log"]
        return "\n".join(f"--- {log.name}\n{tail(log)}" for log in logs)

    async def _run(self, *command: str) -> str:
        return await _run(command, self.home.environment(self.hermes_env / "bin"))


@asynccontextmanager
async def set_up(hermes_env: Path) -> AsyncIterator[Stage]:
    """Build the world; at the end stop every process of it and remove its directory."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chronos-demo-")))
        home = AgentHome(directory / "agent")
        home.hermes.mkdir(parents=True)
        access, nas_server = await _add_agent(directory)
        stack.callback(nas_server.close)
        url = nas_server.start()
        nas = await stack.enter_async_context(AsyncNasClient(url, access["token"]))
        machine = Served(
            [hermes_env / "bin" / "hermes", "serve", "--port", "0"],
            home.environment(hermes_env / "bin"),
            directory / "hermes.log",
            re.compile(r"HERMES_BACKEND_READY port=(\d+)"),
        )
        happenings: asyncio.Queue[FrontEvent] = asyncio.Queue()
        front = Front(machine, happenings.put_nowait, idle=IDLE, busy=home.runs_in_progress)
        stack.push_async_callback(front.close)
        home.configure(NasAccess(url, access["audience"], access["token"]), await front.start())
        yield Stage(hermes_env, home, machine, nas, happenings)


async def _add_agent(directory: Path) -> tuple[dict[str, Any], Served]:
    """A NAS that knows one agent: what the agent must know, and the server, not yet running."""
    store = f"sqlite:{directory / 'nas.db'}"
    added = await _run(
        [*_NAS, "agent", "add", "demo", "--create", "--store", store, "--json"], dict(os.environ)
    )
    serve = [*_NAS, "serve", "--host", "127.0.0.1", "--port", "0", "--store", store]
    server = Served(
        [*serve, "--allow-private-callbacks"],
        dict(os.environ),
        directory / "nas.log",
        re.compile(r"nas-server ready url=(\S+)"),
    )
    return json.loads(added), server


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise StageError(f"{' '.join(command[:4])} failed:\n{said}")
    return out.decode()
