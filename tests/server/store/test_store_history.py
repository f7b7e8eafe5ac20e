"""What every store keeps of deliveries, and what a person may do about a one-shot."""

import random
from typing import Any

import attrs

from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import DEAD, DONE, DROPPED, EARLY, NOT_RUN, RETRY, Attempt
from nas_server.store import Counts, Store, Which
from nas_server.store.histogram import histogram, in_order
from tests.server.store.test_store import ACCEPTED, FAILED, T, arm, shot
from tests.support.durations import DAY

REFUSED = DeliveryResult(ended=False, note="unreachable: Connection refused", retry_after_ms=0)


async def deliver(
    store: Store, outcome: DeliveryResult, now: int, begun: int = T
) -> StoredOneShot | None:
    """Have one delivery begin and end."""
    (one,) = await store.due(begun, 1)
    return await store.settle(one, outcome, now)


async def test_attempts_are_kept_with_their_answers(store: Store) -> None:
    one = shot()
    await arm(store, one)
    left = await deliver(store, REFUSED, T + 30, T + 7)
    assert left is not None
    again = left.not_before_ms
    await deliver(store, ACCEPTED, again + 50, again + 20)
    failed = Attempt(
        agent="a",
        job_id="job",
        schedule_id=one.schedule_id,
        fire_at=one.fire_at,
        due_ms=T,
        number=1,
        planned_ms=T,
        began_ms=T + 7,
        ended_ms=T + 30,
        answer="unreachable: Connection refused",
        then=RETRY,
        next_ms=again,
    )
    accepted = attrs.evolve(
        failed,
        number=2,
        planned_ms=again,
        began_ms=again + 20,
        ended_ms=again + 50,
        answer="202",
        then=DONE,
        next_ms=None,
    )
    assert await store.attempts(again + 50, 10) == [accepted, failed]
    assert (failed.late_ms, accepted.late_ms) == (7, 20)


async def test_what_followed_is_told(store: Store) -> None:
    await arm(store, shot("cancelled"), shot("replaced"), shot("dies"))
    held = {one.job_id: one for one in await store.due(T, 10)}
    await store.cancel("a", "cancelled", T)
    await arm(store, shot("replaced", T + 60_000))
    for name in ("cancelled", "replaced"):
        await store.settle(held[name], FAILED, T + 1)
    await store.settle(held["dies"], DeliveryResult(False, "503", DAY), T)
    later = T + DAY
    (last,) = [one for one in await store.due(later, 10) if one.job_id == "dies"]
    await store.settle(last, FAILED, later)
    told = [(each.job_id, each.then) for each in await store.attempts(later - 1, 10)]
    assert sorted(told) == [
        ("cancelled", DROPPED),
        ("dies", DEAD),
        ("dies", RETRY),
        ("replaced", DROPPED),
    ]


async def test_an_end_without_a_run_is_told_from_a_run(store: Store) -> None:
    for n, (status, word) in enumerate([(202, None), (200, "duplicate"), (204, None), (410, None)]):
        await arm(store, shot("job", T + n))
        await deliver(store, one_shot.answered(status, word, None), T + n, T + n)
    told = [(each.answer, each.then) for each in await store.attempts(T + 9, 10)]
    assert told == [("410", NOT_RUN), ("204", DONE), ("200: duplicate", NOT_RUN), ("202", DONE)]
    assert await store.armed("a") == []


async def test_attempts_are_of_one_agent_or_of_all(store: Store) -> None:
    for n, agent in enumerate(["a", "b", "a", "b"]):
        await arm(store, shot(f"job{n}", agent=agent))
        await deliver(store, ACCEPTED, T + n)
    assert [each.job_id for each in await store.attempts(T + 9, 3)] == ["job3", "job2", "job1"]
    assert [each.job_id for each in await store.attempts(T + 9, 9, Which("a"))] == ["job2", "job0"]
    assert [each.job_id for each in await store.attempts(T + 9, 1, Which("a"))] == ["job2"]
    assert await store.attempts(T + 9, 9, Which("c")) == []


async def test_attempts_are_forgotten_after_a_day(store: Store) -> None:
    await arm(store, shot())
    await deliver(store, ACCEPTED, T)
    assert len(await store.attempts(T + DAY - 1, 10)) == 1
    assert await store.attempts(T + DAY, 10) == []
    assert await store.attempts(T + DAY, 10, Which("a")) == []


async def test_of_a_busy_agent_the_newest_are_kept(store: Store) -> None:
    await arm(store, shot("other", agent="b"))
    await deliver(store, ACCEPTED, T)
    await arm(store, *(shot(f"job{n}") for n in range(520)))
    held = await store.due(T, 520)
    while more := await store.due(T, 500):
        held += more
    for n, one in enumerate(held):
        await store.settle(one, ACCEPTED, T + n)
    found = await store.attempts(T + 600, 500, Which("a"))
    assert [each.job_id for each in found] == [one.job_id for one in reversed(held[20:])]
    everyones = await store.attempts(T + 600, 500)
    assert everyones == found
    assert [each.job_id for each in await store.attempts(T + 600, 9, Which("b"))] == ["other"]


async def test_upcoming_is_in_order_over_all_agents(store: Store) -> None:
    await arm(store, shot("late", T + 90), shot("first", T + 10, "b"), shot("second", T + 20))
    (held,) = await store.due(T + 10, 1)
    # What is being delivered stays where it was.
    assert [one.job_id for one in await store.upcoming(10)] == ["first", "second", "late"]
    assert [one.job_id for one in await store.upcoming(2)] == ["first", "second"]
    await store.settle(held, ACCEPTED, T + 11)
    assert [one.job_id for one in await store.upcoming(10)] == ["second", "late"]


NAMES = ("a", "b", "ab", "%", "\u00e4_A", "x" * 60)
WHICH = [
    Which(agent, text)
    for agent in (None, "a", "ab", "none")
    for text in ("", "b", "%", "_", "\u00e4", "'", "job-1")
]


async def test_parts_of_those_meant_are_what_a_plain_list_has(store: Store) -> None:
    """Each list, count and histogram, of each filter, in pages, against the same by hand."""
    draw = random.Random(7)
    live = [
        shot(f"job-{n % 40}{draw.choice(NAMES)}", T + draw.randrange(60_000), draw.choice(NAMES))
        for n in range(120)
    ]
    ones = list({(one.agent, one.job_id): one for one in live}.values())
    await arm(store, *ones)
    begun = await store.due(T + 2_000, 5)
    refused = [one for one in begun[:2] if await store.settle(one, FAILED, T + 2_001)]
    now = T + 3_000
    held = {(one.agent, one.job_id): one for one in [*ones, *begun]}
    held |= {
        (one.agent, one.job_id): left for one in refused if (left := await left_of(store, one))
    }
    for which in WHICH:
        meant = [one for one in held.values() if which.fits(one.agent, one.job_id)]
        expected = in_order(meant)
        found = [await store.upcoming(7, which, start) for start in range(0, len(meant) + 7, 7)]
        assert [one for part in found for one in part] == expected
        due = [one.wake_ms for one in meant if one.wake_ms <= now]
        counts = await store.counts(now, which)
        if which != Which():  # what NATS counts of all is about alarms, not records
            assert counts == Counts(len(meant), len(due), 0, min(due, default=None))
        for start, end, most in ((T, T + 30_000, 3), (now, now + 999_999, 99)):
            told = await store.histogram(start, end, 9, most, which)
            assert told == histogram(meant, start, end, 9, most)
        tried = [one for one in reversed(refused) if which.fits(one.agent, one.job_id)]
        pages = [await store.attempts(now, 1, which, n) for n in range(3)]
        assert [each.schedule_id for page in pages for each in page] == [
            one.schedule_id for one in tried
        ]


async def left_of(store: Store, tried: StoredOneShot) -> StoredOneShot | None:
    armed = {one.job_id: one for one in await store.armed(tried.agent)}
    return armed.get(tried.job_id)


async def test_the_dead_come_in_parts(store: Store) -> None:
    for n, agent in enumerate("ababa"):
        await arm(store, shot(f"job{n}", T + n, agent))
        await deliver(store, DeliveryResult(False, "503", one_shot.GIVE_UP_MS), T + n, T + n)
    for n in range(5):
        later = T + one_shot.GIVE_UP_MS + n
        await deliver(store, FAILED, later, later)

    async def jobs(*which: Any) -> list[str]:
        return [one.job_id for one in await store.dead(later, 2, *which)]

    assert await jobs(Which(), 1) == ["job3", "job2"]
    assert await jobs(Which("a"), 2) == ["job0"]
    assert await jobs(Which(text="3")) == ["job3"]
    assert (await store.counts(later, Which("b"))).dead == 2


async def test_withdrawing_one_leaves_another(store: Store) -> None:
    await arm(store, shot())
    (now_armed,) = await arm(store, shot(due=T + 60_000))
    assert not await store.withdraw("a", "job", "os_of_before", T)
    assert not await store.withdraw("a", "other", now_armed, T)
    assert len(await store.armed("a")) == 1
    assert await store.withdraw("a", "job", now_armed, T)
    assert await store.armed("a") == []


async def test_what_waits_for_a_retry_can_be_hastened(store: Store) -> None:
    (schedule_id,) = await arm(store, shot())
    await deliver(store, DeliveryResult(False, "503", 3_600_000), T)
    assert await store.due(T + 10, 1) == []
    hastened = await store.fire_now("a", "job", schedule_id, T + 10)
    assert hastened is not None
    assert hastened.wake_ms == T + 10
    assert await store.next_due() == T + 10
    assert await deliver(store, ACCEPTED, T + 12, T + 10) is None
    assert await store.armed("a") == []


async def test_a_fire_ahead_of_time_leaves_the_one_shot_armed(store: Store) -> None:
    (schedule_id,) = await arm(store, one := shot(due=T + 3_600_000))
    assert await store.fire_now("a", "job", schedule_id, T) is not None
    left = await deliver(store, ACCEPTED, T + 5)
    assert left == attrs.evolve(one, note="202")
    assert await store.armed("a") == [left]
    assert await store.due(T + 3_599_999, 1) == []
    assert [each.then for each in await store.attempts(T + 5, 9)] == [EARLY]
    # It was not the delivery: the same key, provisioned again, is still the one armed.
    assert await arm(store, shot(due=T + 3_600_000)) == [schedule_id]
    assert await deliver(store, ACCEPTED, T + 3_600_001, T + 3_600_000) is None


async def test_the_dead_can_be_raised(store: Store) -> None:
    (schedule_id,) = await arm(store, shot())
    await deliver(store, DeliveryResult(False, "503", DAY), T)
    later = T + DAY
    await deliver(store, FAILED, later, later)
    assert await store.counts(later) == Counts(armed=0, due=0, dead=1)
    assert await store.fire_now("a", "job", schedule_id, later + 5) is not None
    assert await store.dead(later, 9) == []
    left = await deliver(store, FAILED, later + 6, later + 5)
    assert left is not None
    assert not left.dead
    assert await store.armed("a") == [left]


async def test_the_dead_are_of_one_agent_or_of_all_the_newest_first(store: Store) -> None:
    for n, agent in enumerate(["a", "b", "a"]):
        await arm(store, shot(f"job{n}", T + n, agent))
        await deliver(store, DeliveryResult(False, "503", DAY), T + n, T + n)
    for n in range(3):
        later = T + DAY + n
        await deliver(store, FAILED, later, later)
    assert [one.job_id for one in await store.dead(later, 9)] == ["job2", "job1", "job0"]
    assert [one.job_id for one in await store.dead(later, 2)] == ["job2", "job1"]
    assert [one.job_id for one in await store.dead(later, 9, Which("a"))] == ["job2", "job0"]
    assert await store.dead(later, 9, Which("c")) == []


async def test_hasten_needs_that_one_shot(store: Store) -> None:
    (schedule_id,) = await arm(store, shot())
    assert await store.fire_now("a", "job", "os_of_before", T) is None
    assert await store.fire_now("a", "other", schedule_id, T) is None
    (held,) = await store.due(T, 1)
    assert await store.fire_now("a", "job", schedule_id, T + 1) == held
    assert await store.due(T + 1, 1) == []
