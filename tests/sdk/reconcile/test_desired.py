"""What an agent wants armed, as a pure function of what is known."""

import threading

import attrs
import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.reconcile.desired import Fires, Jobs, Surroundings, agent_desired
from nas_sdk.reconcile.planning import OneShot, plan

NOW = 1_800_000_000.0
LATER, PAST = "2027-01-15T09:00:00Z", "2027-01-15T07:00:00Z"
DOG = "watchdog-ours"


def jobs(**times: str) -> Jobs:
    return Jobs(times, frozenset(times))


def ids(one_shots: object) -> list[str]:
    return [one.job_id for one in one_shots]  # type: ignore[attr-defined]  # any iterable


def test_jobs_and_the_watchdog() -> None:
    want = agent_desired(jobs(a=LATER), Fires(), Surroundings(NOW, DOG))
    assert want.one_shots[0] == OneShot("a", LATER)
    assert ids(want.one_shots) == ["a", DOG]
    assert (want.problem, want.look_again) == ("", None)


def test_what_is_in_progress_is_neither_armed_nor_cancelled() -> None:
    want = agent_desired(
        jobs(a=PAST, b=PAST, c=PAST),
        Fires(frozenset("a"), frozenset("b")),
        Surroundings(NOW, DOG, watchdog=False),
    )
    assert ids(want.one_shots) == ["c", DOG]
    assert [job_id for job_id in ("a", "b", "orphan") if want.protected(job_id)] == ["a", "b"]
    assert want.look_again == 60


def test_others_and_their_watchdogs_are_left_alone() -> None:
    known = agent_desired(jobs(), Fires(), Surroundings(NOW, DOG, others={"theirs"}))
    unknown = agent_desired(jobs(), Fires(), Surroundings(NOW, DOG, others=None))
    for job_id, is_known, is_unknown in (
        ("theirs", True, True),
        ("orphan", False, True),
        ("watchdog-theirs", True, True),
        (DOG, False, False),
    ):
        assert (known.protected(job_id), unknown.protected(job_id)) == (is_known, is_unknown)


@pytest.mark.parametrize("known", [jobs(), jobs(a=PAST)])
def test_in_doubt_a_watchdog_whose_fire_may_be_on_its_way_is_armed_anew(known: Jobs) -> None:
    doubtful = attrs.evolve(known, problem="the store is not there")
    want = agent_desired(doubtful, Fires(), Surroundings(NOW, DOG, listed={DOG}))
    now = int(NOW * 1000)
    for seconds, stays in ((-60, False), (60, True)):
        listed = [OneShot(DOG, format_instant(now + seconds * 1000))]
        armed = plan(want.one_shots, listed, now=now).arms
        assert (DOG not in ids(armed)) == stays


def test_the_same_from_many_threads() -> None:
    """It holds no state, so that a thread never sees what another one saw."""
    found: list[bool] = []

    def ask(others: set[str]) -> None:
        for _ in range(200):
            want = agent_desired(jobs(), Fires(), Surroundings(NOW, DOG, others=others))
            found.append(all(map(want.protected, others)) and not want.protected("orphan"))

    threads = [threading.Thread(target=ask, args=({f"t{n}"},)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 800
