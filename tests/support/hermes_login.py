"""hermes's own login command at a NAS, and what it leaves in its home."""

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.support.hermes_host import Hermes, eventually
from tests.support.patience import PATIENCE_S
from tools.demo.process import tied

_CODE = re.compile(r"enter code: *(\S+)")


class LoginCommand:
    """`hermes auth add nous --type oauth`, running until it has its tokens."""

    def __init__(self, hermes: Hermes, portal_url: str) -> None:
        command = ["auth", "add", "nous", "--type", "oauth", "--no-browser"]
        self._process = subprocess.Popen(
            tied([hermes.environment.hermes, *command, "--portal-url", portal_url]),
            env=hermes.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._said.append(line)

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return "".join(self._said)

    def code(self) -> str:
        """The code it shows to a person."""

        def shown() -> str:
            assert self._process.poll() is None, self.said
            found = _CODE.search(self.said)
            return found[1] if found else ""

        return eventually(shown, "the code of a login")

    def ends(self) -> int:
        """Its exit status, once it has ended."""
        status = self._process.wait(PATIENCE_S)
        self._reader.join()
        return status


def stored_login(home: Path) -> dict[str, Any]:
    """The login in a home's auth.json; empty when hermes has thrown it away."""
    told: dict[str, Any] = json.loads((home / "auth.json").read_text())["providers"]["nous"]
    return told
