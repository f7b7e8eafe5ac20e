"""What an agent wants armed, as a pure function of what is known."""

import threading

import attrs
import pytest

from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk.reconcile.desired import Fires, Jobs, Surroundings, agent_desired, fired_anew
from nas_sdk.reconcile.planning import OneShot, plan
from tests.support.ends_of_time import ENDS_OF_TIME

NOW = 1_800_000_000.0
LATER, PAST = "2027-01-15T09:00:00Z", "2027-01-15T07:00:00Z"
DOG = "watchdog-ours"


def jobs(**times: str) -> Jobs:
    return Jobs(times, frozenset(times))


def due_seconds(fire_at: str) -> float:
    return parse_instant(fire_at) / 1000


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


@pytest.mark.parametrize("fires", [Fires(here=frozenset("a")), Fires(elsewhere=frozenset("a"))])
def test_the_watchdog_of_what_is_in_progress_is_not_put_off_to_the_next_try(fires: Fires) -> None:
    """Nothing is armed for that try, should the process that runs the job die."""
    tried = {"a": int(NOW * 1000)}
    (guard,) = agent_desired(jobs(a=PAST), fires, Surroundings(NOW, DOG, tried=tried)).one_shots
    assert due_seconds(guard.fire_at) == NOW + 900


def test_a_try_that_is_armed_and_a_moment_off_is_what_the_watchdog_guards() -> None:
    """NAS's clock may be ahead, but what has not fired may kill the agent yet."""
    overdue = jobs(a=format_instant(int((NOW - 910) * 1000)))  # tried 930 s after it was due
    around = Surroundings(NOW, DOG, tried={"a": int((NOW + 20) * 1000)})
    guard = agent_desired(overdue, Fires(), around).one_shots[-1]
    assert (guard.job_id, due_seconds(guard.fire_at)) == (DOG, NOW + 20 + 900)


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


@pytest.mark.parametrize(
    ("armed", "again"),
    [({}, 60), ({"a": PAST}, 60), ({"a": LATER}, 60), ({"a": "2027-01-15T08:00:30Z"}, None)],
)
def test_an_overdue_job_is_looked_at_again_unless_its_next_try_is_armed(
    armed: dict[str, str], again: float | None
) -> None:
    due = "2027-01-15T08:00:00Z"  # a moment ago, so that it is next tried after 30 s
    around = Surroundings(due_seconds(due) + 1, DOG, listed=armed)
    assert agent_desired(jobs(a=due), Fires(), around).look_again == again


def test_a_job_whose_claim_was_taken_back_is_due_now_unless_somebody_has_it() -> None:
    known, fires = (
        jobs(a=PAST, b=PAST, c=PAST, d=LATER, e=PAST),
        Fires(frozenset("b"), frozenset("c")),
    )
    found = fired_anew(known, fires, {"a", "b", "c", "d"}, NOW)
    assert found.times == {**known.times, "a": format_instant(int(NOW * 1000))}


@pytest.mark.parametrize("known", [jobs(), jobs(a=PAST)])
def test_in_doubt_a_watchdog_whose_fire_may_be_on_its_way_is_armed_anew(known: Jobs) -> None:
    doubtful = attrs.evolve(known, problem="the store is not there")
    want = agent_desired(doubtful, Fires(), Surroundings(NOW, DOG, listed={DOG: LATER}))
    now = int(NOW * 1000)
    # Up to 30 s ahead, NAS may have fired it: the clocks may differ by so much.
    for seconds, stays in ((-60, False), (20, False), (29, False), (31, True), (60, True)):
        listed = [OneShot(DOG, format_instant(now + seconds * 1000))]
        armed = plan(want.one_shots, listed, now=now).arms
        assert (DOG not in ids(armed)) == stays


@pytest.mark.parametrize(
    ("others", "is_believed"), [((), False), ({"a"}, True), ({"a", "b"}, True), (None, False)]
)
def test_an_emptied_store_is_not_believed_at_once_whatever_is_known_of_others(
    others: set[str] | None, is_believed: bool
) -> None:
    listed = {"a": LATER, "b": LATER, DOG: LATER, "watchdog-theirs": LATER}
    want = agent_desired(jobs(), Fires(), Surroundings(NOW, DOG, listed, others=others))
    cancels = plan(
        want.one_shots, [OneShot(*one) for one in listed.items()], protect=want.protected
    )
    assert (DOG in cancels.cancels) == (want.problem == "") == is_believed
    again = attrs.evolve(Surroundings(NOW, DOG, listed, others=others), emptied_at=NOW - 60)
    assert agent_desired(jobs(), Fires(), again).problem == ""


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


@pytest.mark.parametrize("fire_at", ENDS_OF_TIME)
def test_a_job_that_is_never_due_is_armed_once_and_so_are_its_watchdogs(fire_at: str) -> None:
    around = Surroundings(NOW, DOG, spare_watchdog=True)
    armed: dict[str, str] = {}
    for arms in (3, 0):
        want = agent_desired(jobs(never=fire_at), Fires(), attrs.evolve(around, listed=armed))
        observed = [OneShot(job_id, at) for job_id, at in armed.items()]
        made = plan(want.one_shots, observed, now=int(NOW * 1000), protect=want.protected)
        assert (len(made.arms), made.cancels, made.unusable) == (arms, (), ())
        armed |= {one.job_id: one.fire_at for one in made.arms}


def test_a_spent_one_shot_that_is_still_listed_is_no_reason_to_put_the_watchdog_off() -> None:
    """The next try is not armed yet, and the process may not live to do that."""
    fired = int((NOW - 2) * 1000)
    refused = jobs(a=format_instant(fired - 930_000))  # tried 930 s after it was due
    around = Surroundings(NOW, DOG, listed={"a": format_instant(fired)}, tried={"a": fired})
    guard = agent_desired(refused, Fires(), around).one_shots[-1]
    assert (guard.job_id, due_seconds(guard.fire_at)) == (DOG, NOW + 900)
    around = attrs.evolve(around, listed={})  # noted: now the next try is armed
    guard = agent_desired(refused, Fires(), around).one_shots[-1]
    assert due_seconds(guard.fire_at) == NOW - 2 + 900 + 900
