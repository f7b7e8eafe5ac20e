"""What a job costs that its host refuses to run: less and less."""

import pytest

from tests.simulation import __main__ as command
from tests.simulation.ours import Ours
from tests.simulation.refused import MACHINES, measure

HOURS = 6.0
TRIES = 28
"""In six hours, the first included."""


@pytest.mark.parametrize("host", ["0.19", "0.22"])
@pytest.mark.parametrize("machine", MACHINES)
def test_a_clock_behind_that_of_nas_costs_no_more(machine: str, host: str) -> None:
    behind = measure(machine, host, HOURS, Ours, skew=-5.0)
    assert behind.fires <= measure(machine, host, HOURS, Ours).fires


@pytest.mark.parametrize("host", ["0.19", "0.22"])
@pytest.mark.parametrize("machine", MACHINES)
def test_six_hours_cost_a_try_every_15_minutes(machine: str, host: str) -> None:
    cost = measure(machine, host, HOURS, Ours)
    assert TRIES - 1 <= cost.fires <= TRIES + 1
    assert cost.wakes <= cost.fires
    if machine == "stops when idle":
        assert cost.awake_seconds <= cost.fires * 65
        assert cost.requests <= cost.fires * 7
    elif machine == "always on":
        assert cost.requests <= cost.fires * 4 + 12 * HOURS * 2  # and hermes's own look-outs


def test_the_command_prints_a_row_for_each_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--refused", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * len(MACHINES)
    assert all(line.startswith(("per hour", *MACHINES)) for line in lines)
