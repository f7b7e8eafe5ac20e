"""Hundreds of worlds with faults, and none in which a promise is broken."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import __main__ as command
from tests.simulation import campaign
from tests.simulation.campaign import Work
from tests.simulation.chaos import KINDS
from tests.simulation.world import World

pytestmark = pytest.mark.timeout(2400)  # seconds; they live through hundreds of worlds

SEEDS = 500
"""`scripts/simulate` lives through 2,000."""
ROOT = Path(__file__).parents[2]


def test_no_world_breaks_a_promise() -> None:
    tally = campaign.run(Work(), 0, SEEDS)
    assert tally.why == {}
    assert tally.seeds == SEEDS
    assert tally.runs > SEEDS  # they have lived


def test_every_kind_of_fault_happens() -> None:
    met: set[str] = set()
    for seed in range(120):
        met |= set(World(seed).run().faults)
    assert met >= set(KINDS)


def test_a_seed_is_the_same_story_in_every_process() -> None:
    code = (
        "from tests.simulation.world import World\n"
        "for seed in range(8):\n"
        "    print(*World(seed, told=True).run().story.lines(), sep='\\n')\n"
    )
    stories = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": chosen},
            check=True,
            capture_output=True,
        ).stdout
        for chosen in ("1", "2")
    }
    assert len({hashlib.sha256(story).hexdigest() for story in stories}) == 1
    assert all(len(story.splitlines()) > 100 for story in stories)


def test_a_story_is_one_line_per_event_with_virtual_times() -> None:
    lines = World(0, told=True).run().story.lines()
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  \S", line) for line in lines)
    assert lines == sorted(lines, key=lambda line: line[:12])


def test_listening_does_not_change_what_happens() -> None:
    told, untold = World(3, told=True).run(), World(3).run()
    kept = [line for line in told.story.lines() if "  log: " not in line]
    assert kept == untold.story.lines()


def test_the_command_ends_with_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--seeds", "3", "--first", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "seeds 3 strands 0 doubles 0"
