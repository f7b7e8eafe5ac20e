"""Every single fault at every I/O of the short stories, and a share of the pairs."""

import pytest

from tests.simulation import __main__ as command
from tests.simulation import campaign, exhaustive
from tests.simulation.campaign import Work
from tests.simulation.chaos import CRASHES, Point
from tests.simulation.ours import Ours
from tests.simulation.removals import REMOVALS

pytestmark = pytest.mark.timeout(2400)  # seconds; they live through thousands of worlds

EVERY = 300


def test_no_single_fault_and_none_of_a_share_of_pairs_breaks_a_promise() -> None:
    found = campaign.explore(Work(), EVERY)
    assert [(each.story, *one) for each in found for one in each.broken] == []
    assert {each.story for each in found} == exhaustive.BY_NAME.keys()
    assert sum(each.runs for each in found) > 3000


def test_a_first_fault_is_followed_by_second_ones_where_it_has_led() -> None:
    story = exhaustive.BY_NAME["create and fire"]
    _, points = exhaustive.play(story, (), Ours)
    first = next(one for one in exhaustive.placements(points) if one[1] == "machine crash")
    _, after = exhaustive.play(story, [first], Ours)
    assert after[: first[0] + 1] == points[: first[0] + 1]
    assert all(at > first[0] for at, _ in exhaustive.placements(after, first[0]))


def test_crashes_that_leave_the_same_world_behind_are_placed_once() -> None:
    same, other = Point("step", ("gateway 1", 5, 0)), Point("step", ("gateway 1", 6, 0))
    placed = list(exhaustive.placements([same, same, other]))
    assert [at for at, kind in placed if kind in CRASHES] == [0, 0, 2, 2]
    assert [at for at, kind in placed if kind.endswith("after")] == [2, 2]


def test_placements_are_read_as_they_are_written() -> None:
    placed = [(3, "lost before"), (40, "machine crash after")]
    assert exhaustive.read(exhaustive.written(placed)) == placed


def test_a_short_story_is_told_with_its_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--exhaustive", "create and fire", "--place", "3=lost before"]) == 0
    assert "[lost before]" in capsys.readouterr().out


def test_a_place_without_a_story_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--exhaustive", "--place", "3=lost before"]) == 2
    assert "name a story" in capsys.readouterr().out


def test_a_protection_of_the_watchdog_that_is_removed_is_missed() -> None:
    found = campaign.explore(Work(removal="watchdog kept"), 0, only="dies and wakes")
    assert any(each.broken for each in found)


def test_a_search_for_the_first_broken_promise_ends_with_it() -> None:
    whole = campaign.explore(Work(removal="watchdog"), 0, only="create and fire", workers=1)
    first = campaign.explore(
        Work(removal="watchdog"), 0, only="create and fire", until_broken=True, workers=1
    )
    assert [bool(each.broken) for each in first] == [False] * (len(first) - 1) + [True]
    assert len(first) < len(whole)


def test_every_removal_is_tried_in_the_short_stories(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {name: REMOVALS[name] for name in ("watchdog", "early fires")}
    monkeypatch.setattr(command, "REMOVALS", kept)
    assert command.main(["--removals", "--exhaustive", "--every", "0"]) == 0
    watchdog, early = capsys.readouterr().out.splitlines()
    assert "is not armed" in watchdog
    assert "a second time" in early
