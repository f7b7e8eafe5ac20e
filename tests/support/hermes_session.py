"""A Python process of a hermes environment that does what a test tells it, step by step."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.hermes_host import Hermes
from tools.demo.process import tied

# What hermes prints goes to stderr, so that nothing but the results is on stdout.
_LOOP = """
import json, os, sys
results = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
names = {}
for line in sys.stdin:
    told = json.loads(line)
    names.update(told["values"], result=None)
    exec(told["code"], names)
    print(json.dumps(names["result"]), file=results, flush=True)
"""


class HermesSession:
    """A running process; names that one step binds are there for the next."""

    def __init__(self, hermes: Hermes) -> None:
        self._log = hermes.home.root / "session.log"
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                tied([hermes.environment.python, "-c", _LOOP]),
                env=hermes.variables(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def do(self, code: str, **values: Any) -> Any:
        """Run code that finds `values` by name. Returns what it called `result`.

        RuntimeError with the end of the log when it raises.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"code": code, "values": values}) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"{code}\nfailed:\n{self.log()[-3000:]}")
        return json.loads(answer)

    def log(self) -> str:
        """What the process has said so far."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def hermes_session(hermes: Hermes) -> Iterator[HermesSession]:
    """A process that lasts as long as the block."""
    session = HermesSession(hermes)
    try:
        yield session
    finally:
        session.kill()
