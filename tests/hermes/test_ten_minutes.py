"""The page "Your own NAS in ten minutes", pasted in order."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.hermes_env import ROOT, VERSIONS, HermesEnvironment
from tests.support.hermes_host import eventually
from tests.support.patience import PATIENCE_S
from tests.support.ports import free_port
from tools.demo.process import tied

PAGE = (ROOT / "docs" / "guides" / "ten-minutes.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
END = "the-end-of-what-was-pasted"


class Terminal:
    """A shell that commands are pasted into."""

    def __init__(self, variables: dict[str, str], log: Path) -> None:
        self._log = log
        self._pasted = 0
        with log.open("w") as output:
            self._shell = subprocess.Popen(
                tied(["bash"]),
                env=variables,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

        self._write("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n")

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def paste(self, block: str) -> None:
        """Paste a block, and go on at once. What fails in it ends the shell."""
        self._pasted += 1
        mark = f"{END}-{self._pasted}"
        self._write(f"set -e\n{block}set +e\necho {mark}\n")

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def done(self) -> str:
        """What was said so far, once all that was pasted has been done."""

        def ended() -> bool:
            text = self.said()
            if f"{END}-{self._pasted}\n" in text:
                return True
            assert self._shell.poll() is None, text
            return False

        eventually(ended, self.said(), 150)
        return self.said()

    def close(self) -> None:
        """End it and what it runs in the background."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(PATIENCE_S)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[HermesEnvironment], Terminal]]:
    opened: list[Terminal] = []

    def make(environment: HermesEnvironment) -> Terminal:
        variables = {
            "PATH": f"{programs(environment)}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "HERMES_HOME": str(tmp_path / "hermes"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        opened.append(Terminal(variables, tmp_path / f"terminal{len(opened)}"))
        return opened[-1]

    yield make
    for each in reversed(opened):
        each.close()


def programs(environment: HermesEnvironment) -> Path:
    """The programs that pip would have put beside hermes."""
    directory = environment.prefix / "bin"
    for name, python, module in (
        ("nas-server", sys.executable, "nas_server"),
        ("chronos", str(environment.python), "chronos_plugin.cli"),
    ):
        program = directory / name
        program.write_text(f'#!/bin/sh\nexec "{python}" -P -m {module} "$@"\n')
        program.chmod(0o755)
    return directory


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_pasted_in_order_it_ends_with_a_run_from_zero(
    version: str,
    tmp_path: Path,
    terminal: Callable[[HermesEnvironment], Terminal],
) -> None:
    environment = HermesEnvironment.create(version, tmp_path / "environment")
    ports = {"8787": str(free_port()), "8642": str(free_port())}
    blocks = [re.sub(r"8787|8642", lambda found: ports[found[0]], block) for block in BLOCKS]
    nas, agent, login, approve, job, platform, look, stop = blocks
    first, second = terminal(environment), terminal(environment)
    first.paste(f"export NAS_SERVER_PORT={ports['8787']}\n" + nas)
    (token,) = re.findall(r"nas_admin_\S+", first.done())
    first.paste(agent)
    first.done()
    second.paste(login)
    (code,) = eventually(lambda: re.findall(r"enter code: *(\S+)", second.said()), "a code")
    first.paste(approve.replace("CODE", code))
    first.done()
    assert "Saved nous OAuth" in second.done()
    first.paste(job)
    assert "hello" in first.done()
    first.paste(platform)
    first.paste(look)
    assert "hello from cron" in first.done()

    page = f"http://127.0.0.1:{ports['8787']}/admin/"
    with httpx.Client(trust_env=False, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
        assert browser.post(f"{page}login", data={"token": token}).status_code == 303
        woken = eventually(lambda: woken_fires(browser, page), "a fire that woke the agent")
    assert {row["agent"] for row in woken} == {"my-agent"}
    first.paste(stop)


def woken_fires(browser: httpx.Client, page: str) -> list[dict[str, Any]]:
    """Fires that were taken after an attempt that found the platform alone."""
    rows: list[dict[str, Any]] = browser.get(f"{page}state").json()["attempts"]["rows"]
    return [row for row in rows if row["then"] == "done" and row["number"] > 1]
