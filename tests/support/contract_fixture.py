"""A pytest plugin: every exchange of every test is held against the contract.

No test asks for it. A test whose point is a broken request or response says which side
it breaks, and the other side is still judged:

    @pytest.mark.off_contract("request")
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import tap_aiohttp, tap_httpx
from tests.support.contract import describe, the_contract
from tests.support.exchange import Exchange, from_line

SIDES = {"request", "response"}
CAPTURE = Path(__file__).resolve().parent / "capture"
ROOT = Path(__file__).resolve().parents[2]
COUNTS = "contract_exchanges"


class Ledger:
    """The exchanges seen and not yet judged, of this process and of those it started."""

    def __init__(self) -> None:
        self._seen: list[Exchange] = []
        self._read: dict[Path, int] = {}
        self.directory: Path | None = None
        self.judged: Counter[str] = Counter()

    def record(self, exchange: Exchange) -> None:
        """Have an exchange judged at the end of the running test. Any thread may call it."""
        if the_contract().covers(exchange):
            self._seen.append(exchange)

    def judge(self, exempt: set[str]) -> list[str]:
        """Judge what was recorded since the last call. Returns what to tell the tester."""
        self._collect()
        seen, self._seen = self._seen, []
        complaints = []
        for exchange in seen:
            self.judged[exchange.seen_by] += 1
            violations = the_contract().violations(exchange)
            for side in exempt:
                getattr(violations, side).clear()
            if violations.request or violations.response:
                complaints.append(describe(exchange, violations))
        return complaints

    def _collect(self) -> None:
        """Take over the whole lines that subprocesses have written since the last time."""
        for file in sorted(self.directory.glob("*.jsonl")) if self.directory else []:
            with file.open("rb") as lines:
                lines.seek(self._read.get(file, 0))
                for line in lines:
                    if line.endswith(b"\n"):
                        self._read[file] = self._read.get(file, 0) + len(line)
                        self.record(from_line(line.decode()))


ledger = Ledger()
record = ledger.record


def capture_environment() -> dict[str, str]:
    """What the environment of a subprocess needs for its exchanges to be judged.

    `os.environ` has it while tests run; only a test that builds an environment of its own
    has to add it.
    """
    path = os.pathsep.join([str(CAPTURE), str(ROOT)])
    return {"NAS_CONTRACT_CAPTURE": str(ledger.directory), "PYTHONPATH": path}


def pytest_configure(config: pytest.Config) -> None:
    """Tap the libraries and prepare the environment of subprocesses."""
    line = "off_contract(*sides): 'request' or 'response' breaks the contract on purpose"
    config.addinivalue_line("markers", line)
    spreads = config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")
    if spreads or ledger.directory is not None:
        return  # its workers run the tests; or pytester runs a pytest inside this one
    scratch = tempfile.TemporaryDirectory(prefix="contract-")
    config.add_cleanup(scratch.cleanup)
    ledger.directory = Path(scratch.name)
    os.environ.update(capture_environment())
    tap_httpx.install(record)
    tap_aiohttp.install_client(record)
    tap_aiohttp.install_server(record)


@pytest.fixture(autouse=True)
def exchanges_keep_the_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when an exchange it caused breaks the contract."""
    exempt = {side for mark in request.node.iter_markers("off_contract") for side in mark.args}
    bare = any(not mark.args for mark in request.node.iter_markers("off_contract"))
    if bare or exempt - SIDES:
        pytest.fail("off_contract needs the side that breaks: 'request' or 'response'", False)
    yield
    if complaints := ledger.judge(exempt):
        shown = "\n\n".join(complaints[:5])
        more = f"\n\n… and {len(complaints) - 5} more" if len(complaints) > 5 else ""
        pytest.fail(f"exchanges that break the contract:\n{shown}{more}", pytrace=False)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what the workers of a parallel run have judged."""
    ledger.judged.update(getattr(node, "workeroutput", {}).get(COUNTS, {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was judged to the process that reports it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[COUNTS] = dict(ledger.judged)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many exchanges were judged: none would mean that the taps are broken."""
    total = sum(ledger.judged.values())
    if total:
        seen = ", ".join(f"{count} by {who}" for who, count in sorted(ledger.judged.items()))
        terminalreporter.write_line(f"exchanges held against the contract: {total} ({seen})")
