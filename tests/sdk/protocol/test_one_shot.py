"""The rule book: what happens to a one-shot, and when."""

import itertools
import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_sdk.protocol.table import OneShotTable
from tests.support.durations import DAY, HOUR, MINUTE

T = 1_800_000_000_000
AT = "2027-01-15T08:00:00Z"
LATER = "2027-01-15T09:00:00.5+01:00"
ACCEPTED = DeliveryResult(ended=True, note="202")
FAILED = DeliveryResult(ended=False, note="503")
URL = "https://agent.example.com"


def table(chance: float = 0.5) -> OneShotTable:
    ids = itertools.count()
    return OneShotTable(chance=lambda: chance, new_id=lambda: f"os_{next(ids)}")


def arm(
    on: OneShotTable, job: str = "job", fire_at: str = AT, now: int = T - 1_000, by: str = "a"
) -> str:
    return on.provision(by, job, fire_at, URL, f"{job}:{fire_at}", now)


def only(shots: list[StoredOneShot]) -> StoredOneShot:
    (one,) = shots
    return one


def test_the_constants_above_are_one_instant_and_half_a_second_more() -> None:
    assert one_shot.due_ms(AT) == T
    assert one_shot.due_ms(LATER) == T + 500


def test_a_fire_is_never_early_even_by_a_fraction_of_a_millisecond() -> None:
    assert one_shot.due_ms("2027-01-15T08:00:00.000000001Z") == T + 1
    assert one_shot.due_ms("2027-01-15T08:00:00.123400000Z") == T + 124
    assert one_shot.due_ms("2027-01-15T08:00:00.123000000Z") == T + 123


def test_it_is_due_at_its_time_and_not_before() -> None:
    on = table()
    arm(on)
    assert on.next_due() == T
    assert on.due(T - 1, 10) == []
    assert only(on.due(T, 10)).job_id == "job"


def test_the_same_key_changes_nothing() -> None:
    on = table()
    first = arm(on)
    assert arm(on) == first
    assert len(on.due(T, 10)) == 1


def test_another_key_replaces() -> None:
    on = table()
    first = arm(on)
    second = arm(on, fire_at=LATER)
    assert second != first
    assert only(on.armed("a")).fire_at == LATER
    assert on.due(T, 10) == []
    assert only(on.due(T + 500, 10)).schedule_id == second


def test_agents_do_not_see_each_other() -> None:
    on = table()
    arm(on, by="a")
    arm(on, by="b")
    assert not on.cancel("c", "job", T)
    assert on.cancel("a", "job", T)
    assert on.armed("a") == []
    assert only(on.due(T, 10)).agent == "b"


def test_a_cancel_holds_after_the_due_time_until_delivery_begins() -> None:
    on = table()
    arm(on)
    on.cancel("a", "job", T + 5_000)
    assert on.due(T + 6_000, 10) == []


def test_a_leased_one_is_listed_and_not_due_until_the_lease_ends() -> None:
    on = table()
    arm(on)
    first = only(on.due(T, 10))
    assert on.due(T + MINUTE - 1, 10) == []
    assert only(on.armed("a")).schedule_id == first.schedule_id
    again = only(on.due(T + MINUTE, 10))
    assert (again.attempt, again.first_attempt_ms) == (2, T)


def test_an_accepted_fire_is_over() -> None:
    on = table()
    arm(on)
    assert on.settle(only(on.due(T, 10)), ACCEPTED, T + 20) is None
    assert on.armed("a") == []
    assert on.next_due() is None


def test_a_late_provision_of_a_delivered_key_arms_nothing_for_ten_minutes() -> None:
    on = table()
    first = arm(on)
    on.settle(only(on.due(T, 10)), ACCEPTED, T)
    assert arm(on, now=T + 10 * MINUTE - 1) == first
    assert on.armed("a") == []
    again = arm(on, now=T + 10 * MINUTE)
    assert again != first
    assert only(on.due(T + 10 * MINUTE, 10)).schedule_id == again


def test_a_late_provision_of_a_delivered_key_leaves_the_next_one_shot_alone() -> None:
    on = table()
    first = arm(on)
    on.settle(only(on.due(T, 10)), ACCEPTED, T)
    second = arm(on, fire_at=LATER, now=T)
    assert arm(on, now=T + 1) == first
    assert only(on.armed("a")).schedule_id == second


def test_remembering_is_per_agent() -> None:
    on = table()
    arm(on, by="a")
    on.settle(only(on.due(T, 10)), ACCEPTED, T)
    arm(on, by="b", now=T + 1)
    assert only(on.due(T + 1, 10)).agent == "b"


def test_what_is_dropped_of_one_agent_is_not_forgotten_of_another() -> None:
    on = table()
    for agent in ("a", "b"):
        arm(on, by=agent)
    for tried in on.due(T, 10):
        on.settle(tried, ACCEPTED, T)
    on.drop("a", 1)
    arm(on, by="b", now=T + 1)
    assert on.armed("b") == []
    arm(on, by="a", now=T + 1)
    assert len(on.armed("a")) == 1


@pytest.mark.parametrize("outcome", [ACCEPTED, FAILED])
def test_a_re_arm_during_a_delivery_wins(outcome: DeliveryResult) -> None:
    on = table()
    arm(on)
    tried = only(on.due(T, 10))
    arm(on, fire_at=LATER, now=T)
    anew = only(on.armed("a"))
    assert on.settle(tried, outcome, T + 100) == anew
    assert on.next_due() == T + 500


@pytest.mark.parametrize("outcome", [ACCEPTED, FAILED])
def test_the_outcome_of_a_cancelled_one_brings_nothing_back(outcome: DeliveryResult) -> None:
    on = table()
    arm(on)
    tried = only(on.due(T, 10))
    on.cancel("a", "job", T)
    assert on.settle(tried, outcome, T + 100) is None
    assert on.armed("a") == []
    assert on.next_due() is None


def test_a_failed_attempt_is_tried_again_after_its_backoff() -> None:
    on = table(chance=0.5)
    arm(on)
    left = on.settle(only(on.due(T, 10)), FAILED, T + 40)
    assert left is not None
    assert left.note == "503"
    assert on.next_due() == T + 40 + 500
    assert on.due(T + 539, 10) == []
    assert only(on.due(T + 540, 10)).attempt == 2


def test_retry_after_is_obeyed() -> None:
    on = table(chance=0.0)
    arm(on)
    on.settle(only(on.due(T, 10)), DeliveryResult(False, "503", retry_after_ms=7_000), T)
    assert on.next_due() == T + 7_000


def test_a_clock_that_steps_back_during_an_attempt_makes_no_second_fire() -> None:
    on = table()
    arm(on)
    back = T - 5_000
    on.settle(only(on.due(T, 10)), FAILED, back)
    assert on.next_due() == T
    assert on.settle(only(on.due(T, 10)), ACCEPTED, T) is None
    assert on.next_due() is None


def test_a_failure_that_comes_after_the_lease_does_not_touch_the_next_attempt() -> None:
    on = table()
    arm(on)
    first = only(on.due(T, 10))
    second = only(on.due(T + MINUTE, 10))
    left = on.settle(first, FAILED, T + MINUTE + 1)
    assert left == second


def test_an_acceptance_that_comes_after_the_lease_ends_it() -> None:
    on = table()
    arm(on)
    first = only(on.due(T, 10))
    second = only(on.due(T + MINUTE, 10))
    assert on.settle(first, ACCEPTED, T + MINUTE + 1) is None
    assert on.settle(second, FAILED, T + MINUTE + 2) is None
    assert on.armed("a") == []


def test_a_handed_back_one_is_due_at_once() -> None:
    on = table()
    arm(on)
    tried = only(on.due(T, 10))
    on.release(tried)
    assert only(on.due(T, 10)).schedule_id == tried.schedule_id


def test_handing_back_does_not_touch_a_re_arm() -> None:
    on = table()
    arm(on)
    tried = only(on.due(T, 10))
    arm(on, fire_at=LATER, now=T)
    on.release(tried)
    assert on.next_due() == T + 500


def give_up(on: OneShotTable) -> StoredOneShot:
    """Fail until it is dead; return it."""
    now = T
    for _ in range(1_000):
        left = on.settle(only(on.due(now, 10)), FAILED, now)
        assert left is not None
        if left.dead:
            assert now == T + DAY
            return left
        now = left.not_before_ms
    raise AssertionError("it was never given up")


def test_it_is_given_up_a_day_after_its_first_attempt() -> None:
    on = table(chance=0.999)
    arm(on)
    dead = give_up(on)
    assert on.dead(dead.not_before_ms) == [dead]
    assert on.armed("a") == []
    assert on.next_due() is None


def test_a_dead_one_can_be_armed_again_under_its_own_key() -> None:
    on = table(chance=0.999)
    first = arm(on)
    give_up(on)
    again = arm(on, now=T + DAY)
    assert again != first
    assert on.dead(T + DAY) == []
    assert only(on.due(T + DAY, 10)).attempt == 1


def test_a_wait_beyond_the_maximum_age_gets_one_last_attempt() -> None:
    on = table()
    arm(on)
    on.settle(only(on.due(T, 10)), DeliveryResult(False, "429", retry_after_ms=10**12), T)
    (tried,) = on.due(near := T + DAY - 1, 10)
    on.settle(tried, DeliveryResult(False, "429", retry_after_ms=10**12), near)
    assert on.next_due() == T + DAY


@given(
    st.none() | st.integers(-(10**15), 10**15),
    st.integers(1, 100),
    st.floats(0, 1, exclude_max=True),
)
def test_retry_after_has_a_floor_and_a_cap(asked: int | None, attempt: int, chance: float) -> None:
    tried = one_shot.fresh("a", "job", format_instant(T), "https://x.example", "key", "os_1", T)
    tried = attrs.evolve(tried, attempt=attempt, first_attempt_ms=T)
    left = one_shot.retry(tried, DeliveryResult(False, "503", asked), T, chance)
    wait = left.not_before_ms - T
    assert one_shot.backoff_ms(attempt, chance) <= wait <= HOUR
    if asked is not None:
        assert wait >= min(asked, HOUR)


@pytest.mark.parametrize(("asked", "most"), [(0, 500), (-1, 500), (None, 500), (86_400_000, 34)])
def test_an_agent_that_asks_for_nonsense_is_tried_about_as_often(
    asked: int | None, most: int
) -> None:
    chance = random.Random(5).random
    on, attempts, now = OneShotTable(chance=chance), 0, T
    arm(on)
    while (wake := on.next_due()) is not None:
        (tried,) = on.due(now := wake, 10)
        attempts += 1
        on.settle(tried, DeliveryResult(False, "503", asked), now)
    assert 20 <= attempts <= most


def test_a_fire_time_long_past_is_not_dead_on_its_first_failure() -> None:
    on = table()
    now = T + 10 * DAY
    arm(on, now=now)
    left = on.settle(only(on.due(now, 10)), FAILED, now)
    assert left is not None
    assert not left.dead


def hastened(on: OneShotTable, now: int) -> StoredOneShot:
    """Have the one-shot of ``job`` hastened and its delivery begun."""
    one = only(on.armed("a"))
    assert on.fire_now("a", "job", one.schedule_id, now) is not None
    return only(on.due(now, 10))


def test_a_hastened_one_stays_armed_for_its_time() -> None:
    on = table()
    arm(on)
    tried = hastened(on, T - 500_000)
    assert on.settle(tried, ACCEPTED, T - 499_000) is not None
    left = only(on.armed("a"))
    assert (left.wake_ms, left.attempt, left.first_attempt_ms) == (T, 0, None)
    assert on.settle(only(on.due(T, 1)), ACCEPTED, T) is None


def test_a_hastened_one_that_fails_is_tried_again_until_its_time_and_afresh_then() -> None:
    on = table(chance=0.5)
    arm(on)
    failed = on.settle(hastened(on, T - 10_000), FAILED, T - 10_000)
    assert failed is not None
    assert (failed.wake_ms, failed.attempt) == (T - 9_500, 1)
    (again,) = on.due(T - 9_500, 1)
    left = on.settle(again, DeliveryResult(False, "503", 3_600_000), T - 9_400)
    assert left is not None
    assert (left.wake_ms, left.attempt, left.first_attempt_ms) == (T, 0, None)


def test_a_hastened_delivery_that_ends_after_the_time_is_made_again_at_once() -> None:
    on = table()
    arm(on)
    tried = hastened(on, T - 1_000)
    assert on.settle(tried, ACCEPTED, T + 4_000) is not None
    assert on.next_due() == T + 4_000


def test_a_hastened_one_that_fails_for_a_day_still_fires_at_its_time() -> None:
    on = table()
    arm(on)
    start = T - 3 * DAY
    tried = hastened(on, start)
    for now in (start + DAY - 1, start + DAY):
        failed = on.settle(tried, DeliveryResult(False, "503", 0), now)
        assert failed is not None
        assert not failed.dead
        tried = only(on.due(failed.wake_ms, 1))
    assert (tried.attempt, tried.lease_until_ms) == (1, T + MINUTE)
    assert on.settle(tried, ACCEPTED, T) is None


def test_a_hastened_one_that_is_not_begun_before_its_time_is_an_ordinary_one() -> None:
    for outcome in (ACCEPTED, FAILED):
        on = table(chance=0.0)
        schedule_id = arm(on)
        on.settle(hastened(on, T - 20_000), DeliveryResult(False, "503", 19_000), T - 20_000)
        assert only(on.armed("a")).wake_ms == T - 1_000
        one = only(on.due(T + 4_000, 1))
        assert (one.attempt, one.not_before_ms, one.first_attempt_ms) == (1, T, T + 4_000)
        left = on.settle(one, outcome, T + 5_000)
        assert (left is None) == outcome.ended
        assert arm(on) == schedule_id


def test_hastening_what_is_being_delivered_or_due_changes_nothing() -> None:
    on = table()
    schedule_id = arm(on)
    assert on.fire_now("a", "job", schedule_id, T + 5) == only(on.armed("a"))
    assert only(on.armed("a")).not_before_ms == T
    held = only(on.due(T + 5, 1))
    assert on.fire_now("a", "job", schedule_id, T + 9) == held


def test_an_agent_at_its_limit_does_not_hold_up_the_others() -> None:
    on = table()
    for n in range(5):
        arm(on, f"slow{n}", by="slow")
    arm(on, "quick", fire_at=LATER, by="quick")
    taken = on.due(T + 500, 100, under_way={"slow": 1}, per_agent=3)
    assert sorted(one.agent for one in taken) == ["quick", "slow", "slow"]
    assert on.due(T + 500, 100, under_way={"slow": 3}, per_agent=3) == []
    assert on.next_due() == T
    assert on.next_due({"slow"}) == T + 500 + MINUTE
    assert len(on.due(T + 500, 100)) == 3


def test_the_earliest_come_first_up_to_the_limit() -> None:
    on = table()
    for n in (3, 1, 2):
        arm(on, f"job{n}", fire_at=f"2027-01-15T08:00:0{n}Z")
    assert [one.job_id for one in on.due(T + 9_000, 2)] == ["job1", "job2"]
    assert [one.job_id for one in on.due(T + 9_000, 2)] == ["job3"]


def test_arming_the_same_instant_again_after_a_cancel_fires_once() -> None:
    on = table()
    arm(on)
    on.cancel("a", "job", T - 500)
    arm(on)
    assert len(on.due(T, 10)) == 1


def test_far_re_arms_do_not_pile_up() -> None:
    on = table()
    for n in range(5_000):
        arm(on, fire_at=f"2027-02-01T00:00:00.{n:06}Z")
    assert len(on._heap) < 2_100


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_the_backoff_is_full_jitter_below_a_cap(attempt: int, chance: float) -> None:
    wait = one_shot.backoff_ms(attempt, chance)
    assert 0 <= wait <= min(10 * MINUTE, 1_000 * 2 ** min(attempt - 1, 30))
    assert one_shot.backoff_ms(attempt, 0.0) == 0
