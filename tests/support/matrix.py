"""A pytest plugin: which steps were seen on which hermes, as a table at the end of a run.

A test takes the fixture `matrix`, says which row it fills and which steps it goes through,
and calls what it gets after each of them:

    seen = matrix("0.19.0", "serve", "load", "fire")
    ...
    seen("load")
"""

from collections.abc import Callable, Iterable, Iterator

import pytest

STEPS = ("load", "verify", "create", "fire", "re-arm", "pause", "remove", "profile")
PLANNED, SEEN = "matrix-planned", "matrix-seen"

Seen = Callable[[str], None]
Matrix = Callable[..., Seen]
Row = tuple[str, str]


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """See the module."""
    properties = request.node.user_properties

    def plan(version: str, process: str, *steps: str) -> Seen:
        assert set(steps) <= set(STEPS)
        properties.append((PLANNED, [version, process, *steps]))
        return lambda step: properties.append((SEEN, [version, process, step]))

    return plan


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, if any test filled a row."""
    cells: dict[Row, dict[str, str]] = {}
    told = list(_told(terminalreporter))
    for kind, outcome in ((PLANNED, "FAILED"), (SEEN, "ok")):
        for name, (version, process, *steps) in told:
            if name == kind:
                cells.setdefault((version, process), {}).update(dict.fromkeys(steps, outcome))
    if not cells:
        return
    terminalreporter.section("real hermes")
    terminalreporter.write_line(_line("version", "process", STEPS))
    for (version, process), row in sorted(cells.items()):
        terminalreporter.write_line(_line(version, process, [row.get(s, "·") for s in STEPS]))


def _told(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, list[str]]]:
    """What the tests have told, also those that ran in a worker."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for name, told in report.user_properties:
                    if name in (PLANNED, SEEN) and isinstance(told, list):
                        yield name, told


def _line(version: str, process: str, cells: Iterable[str]) -> str:
    return f"{version:<13} {process:<12} " + " ".join(f"{cell:<7}" for cell in cells)
