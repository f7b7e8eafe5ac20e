"""The simulator can fail: without a protection of ours, and with the bundled provider."""

import pytest

from tests.simulation import __main__ as command
from tests.simulation import campaign
from tests.simulation.campaign import Work
from tests.simulation.removals import REMOVALS

pytestmark = pytest.mark.timeout(2400)  # seconds; they live through thousands of worlds

SEEDS = 120


@pytest.mark.parametrize(
    ("removal", "kind"),
    [("early fires", "doubles"), ("other profiles", "strands"), ("instants", "others")],
)
def test_a_protection_that_is_removed_is_missed(removal: str, kind: str) -> None:
    tally = campaign.run(Work(removal=removal), 0, SEEDS)
    assert getattr(tally, kind)
    assert tally.why[tally.failing[0]]


def test_the_bundled_provider_forgets_jobs_and_runs_some_twice() -> None:
    tally = campaign.run(Work("bundled", fair=True), 0, SEEDS)
    assert len(tally.strands) > SEEDS / 10
    assert len(tally.doubles) > 1


def test_every_removal_says_what_it_removes() -> None:
    assert all(removal.why for removal in REMOVALS.values())


def test_a_failing_seed_is_named_with_the_command_that_tells_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--seeds", str(SEEDS), "--remove", "early fires"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("a second time" in line for line in lines)
    assert any(line.endswith('--story --remove "early fires"') for line in lines)
    assert lines[-1].startswith(f"seeds {SEEDS} strands ")
