"""Planning, by properties and by example, and carrying a plan out."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nas_sdk import (
    IdentityRejectedError,
    NasConnectionError,
    RateLimitedError,
    ServerError,
    TokenError,
)
from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk.reconcile import OneShot, converge, due_ms, plan, watchdog
from nas_sdk.reconcile.planning import Desired
from nas_sdk.testing import InMemoryNas

NOW = parse_instant("2026-01-01T00:00:00Z")
CALLBACK = "https://agent.example.com"

ids = st.sampled_from(["a", "b", "c", "d", "watchdog-1"])
instants = st.integers(NOW - 3_600_000, NOW + 3_600_000)


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """An instant as hermes or NAS may write it."""
    text = format_instant(draw(instants))
    return draw(st.sampled_from([text, text.replace("Z", "+00:00"), text.replace("Z", "999Z")]))


one_shots = st.builds(
    OneShot, ids, spellings() | st.just("tomorrow"), st.sampled_from([0, 0, 600_000])
)
desired_lists = st.lists(one_shots, max_size=6)
armed_lists = st.dictionaries(ids, spellings(), max_size=5).map(
    lambda armed: [OneShot(job_id, at) for job_id, at in armed.items()]
)
nows = st.none() | st.integers(NOW - 3_600_000, NOW + 3_600_000)


Jobs = list[OneShot]
Now = int | None


def carried_out(observed: Jobs, arms: tuple[OneShot, ...], cancels: tuple[str, ...]) -> Jobs:
    """NAS's list after a plan was carried out in full."""
    armed = {one.job_id: one for one in observed} | {one.job_id: one for one in arms}
    return [one for job_id, one in armed.items() if job_id not in cancels]


@given(desired_lists, armed_lists, nows, st.sets(ids))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    desired: Jobs, observed: Jobs, now: Now, protect: set[str]
) -> None:
    first = plan(desired, observed, now=now, protect=protect)
    after = carried_out(observed, first.arms, first.cancels)
    again = plan(desired, after, now=now, protect=protect)
    assert (again.arms, again.cancels) == ((), ())


@given(desired_lists, armed_lists, nows, st.sets(ids))
def test_what_is_spared_desired_or_unusable_is_never_cancelled(
    desired: Jobs, observed: Jobs, now: Now, protect: set[str]
) -> None:
    found = plan(desired, observed, now=now, protect=protect)
    assert not set(found.cancels) & (protect | {one.job_id for one in desired})
    assert set(found.cancels) <= {one.job_id for one in observed}


@given(desired_lists, armed_lists, nows)
def test_afterwards_every_job_has_its_arm_and_nothing_else_has_one(
    desired: Jobs, observed: Jobs, now: Now
) -> None:
    found = plan(desired, observed, now=now)
    after = {one.job_id for one in carried_out(observed, found.arms, found.cancels)}
    wanted = {one.job_id for one in desired if due_ms(one.fire_at) is not None}
    untouched = set(found.unusable) & {one.job_id for one in observed}
    assert after == wanted | untouched


@given(desired_lists, nows)
def test_an_unusable_list_arms_everything_and_cancels_nothing(desired: Jobs, now: Now) -> None:
    found = plan(desired, None, now=now)
    wanted = {one.job_id for one in desired if due_ms(one.fire_at) is not None}
    assert [one.job_id for one in found.arms] != [] or not wanted
    assert {one.job_id for one in found.arms} == wanted
    assert found.cancels == ()


@given(desired_lists, armed_lists, nows)
def test_arms_come_earliest_first_and_once_each(desired: Jobs, observed: Jobs, now: Now) -> None:
    found = plan(desired, observed, now=now)
    names = [one.job_id for one in found.arms]
    assert len(names) == len(set(names))
    dues = {
        job_id: min(due for one in desired if one.job_id == job_id and (due := due_ms(one.fire_at)))
        for job_id in names
    }
    assert [dues[name] for name in names] == sorted(dues.values())


@given(desired_lists, armed_lists)
def test_what_is_not_overdue_is_sent_byte_for_byte(desired: Jobs, observed: Jobs) -> None:
    texts = {one.fire_at for one in desired}
    assert {one.fire_at for one in plan(desired, observed).arms} <= texts


@pytest.mark.parametrize(
    ("observed", "is_met"),
    [
        ("2026-01-01T00:10:00.123Z", True),
        ("2026-01-01T02:10:00.123456+02:00", True),
        ("2026-01-01T00:10:00.124Z", False),
        ("2026-01-01T00:10:00.122Z", False),
        ("2026-01-01T00:10:00Z", False),
    ],
)
def test_instants_are_compared_to_the_millisecond(observed: str, is_met: bool) -> None:
    wanted = [OneShot("a", "2026-01-01T00:10:00.123789+00:00")]
    assert (plan(wanted, [OneShot("a", observed)]).arms == ()) is is_met


@pytest.mark.parametrize(
    ("early", "is_met"), [(0, True), (600_000, True), (600_001, False), (-1, False)]
)
def test_slack_is_how_much_earlier_an_arm_may_be(early: int, is_met: bool) -> None:
    due = NOW + 3_600_000
    observed = [OneShot("a", format_instant(due - early))]
    wanted = [OneShot("a", format_instant(due), slack=600_000)]
    assert (plan(wanted, observed, now=NOW).arms == ()) is is_met


@pytest.mark.parametrize(
    ("armed_in_ms", "is_met"), [(-5_000_000, True), (-1, True), (0, True), (1, False)]
)
def test_an_overdue_job_is_armed_by_whatever_fires_now(armed_in_ms: int, is_met: bool) -> None:
    wanted = [OneShot("a", format_instant(NOW - 1000))]
    observed = [OneShot("a", format_instant(NOW + armed_in_ms))]
    assert (plan(wanted, observed, now=NOW).arms == ()) is is_met


def test_a_job_due_now_is_overdue() -> None:
    observed = [OneShot("a", format_instant(NOW - 1))]
    assert plan([OneShot("a", format_instant(NOW))], observed, now=NOW).arms == ()
    assert plan([OneShot("a", format_instant(NOW + 1))], observed, now=NOW).arms != ()


@pytest.mark.parametrize(
    ("late", "later"),
    [
        (0, 0),
        (29_999, 0),
        (30_000, 30_000),
        (89_999, 30_000),
        (90_000, 90_000),
        (210_000, 210_000),
        (449_999, 210_000),
        (450_000, 450_000),
        (930_000, 930_000),
        (1_829_999, 930_000),
        (1_830_000, 1_830_000),
        (6 * 3_600_000, 21_630_000 - 900_000),
    ],
)
def test_an_overdue_job_gets_a_key_that_cannot_be_spent(late: int, later: int) -> None:
    at = format_instant(NOW - late).replace("Z", "+00:00")
    [arm] = plan([OneShot("a", at)], [], now=NOW).arms
    assert due_ms(arm.fire_at) == NOW - late + later
    assert later > 0 or arm.fire_at == at


@pytest.mark.parametrize("late", [0, 29_999, 30_000, 449_999, 930_000, 6 * 3_600_000])
def test_what_was_tried_is_armed_for_its_next_try_and_once(late: int) -> None:
    one = OneShot("a", format_instant(NOW - late))
    [latest] = plan([one], [], now=NOW).arms
    tried = {"a": due_ms(latest.fire_at) or 0}
    [arm] = plan([one], [], now=NOW, tried=tried).arms
    at = due_ms(arm.fire_at) or 0
    assert NOW < at <= NOW + 900_000
    assert plan([one], None, now=NOW, tried=tried).arms == (arm,)
    assert plan([one], [arm], now=NOW, tried=tried).arms == ()
    assert plan([one], [arm], now=NOW).arms == ()  # whoever armed it
    assert plan([one], [arm], now=at, tried={"a": at}).arms == ()  # its fire is on its way
    [after] = plan([one], [], now=at, tried={"a": at}).arms
    assert at < (due_ms(after.fire_at) or 0) <= at + 900_000


@pytest.mark.parametrize("tried", [NOW - 60_001, NOW + 1, NOW + 60_000])
def test_what_was_tried_at_another_time_is_armed_now(tried: int) -> None:
    """Before this occurrence, or not yet: its time was another one then."""
    one = OneShot("a", format_instant(NOW - 29_000))
    assert plan([one], [], now=NOW, tried={"a": tried}).arms == (one,)


@pytest.mark.parametrize("ahead", [1, 30_000, 30_001, 3_600_000])
@pytest.mark.parametrize("later", [-1, 0, 1, 30_000])
def test_a_job_that_is_to_come_is_armed_for_its_time_whatever_was_tried(
    ahead: int, later: int
) -> None:
    """Also where NAS lost what was armed for that time."""
    one = OneShot("a", format_instant(NOW + ahead))
    assert plan([one], [], now=NOW, tried={"a": NOW + ahead + later}).arms == (one,)


@given(desired_lists, armed_lists, nows, st.dictionaries(ids, instants))
def test_what_was_tried_changes_when_but_not_what_is_written(
    desired: Jobs, observed: Jobs, now: Now, tried: dict[str, int]
) -> None:
    usual, found = plan(desired, observed, now=now), plan(desired, observed, now=now, tried=tried)
    assert [one.job_id for one in found.arms] == [one.job_id for one in usual.arms]
    assert (found.cancels, found.unusable) == (usual.cancels, usual.unusable)
    after = carried_out(observed, found.arms, found.cancels)
    assert plan(desired, after, now=now, tried=tried).arms == ()


@given(desired_lists, instants)
def test_what_was_armed_for_a_time_to_come_and_is_lost_is_armed_for_it_again(
    desired: Jobs, now: int
) -> None:
    arms = plan(desired, [], now=now).arms
    tried = {one.job_id: due_ms(one.fire_at) or 0 for one in arms}
    again = plan(desired, [], now=now, tried=tried).arms
    assert {one for one in arms if tried[one.job_id] > now} <= set(again)


def test_a_job_that_is_refused_for_six_hours_is_tried_less_and_less() -> None:
    one = OneShot("a", format_instant(NOW))
    tries = {plan([one], [], now=NOW + second * 1000).arms[0].fire_at for second in range(6 * 3600)}
    assert len(tries) == 28


def test_a_job_twice_in_the_store_is_armed_at_its_earlier_time() -> None:
    both = [OneShot("a", "2026-01-01T02:00:00Z"), OneShot("a", "2026-01-01T01:00:00Z")]
    assert plan(both, []).arms == (both[1],)


def test_a_fire_time_that_is_no_instant_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    found = plan([OneShot("a", "2026-01-01T02:00:00")], [OneShot("a", "2026-01-01T01:00:00Z")])
    assert (found.arms, found.cancels, found.unusable) == ((), (), ("a",))
    assert "job a is left as it is: its fire time is no UTC offset" in caplog.text


def test_spare_may_be_a_function() -> None:
    observed = [OneShot("a", "2026-01-01T01:00:00Z"), OneShot("b", "2026-01-01T01:00:00Z")]
    assert plan([], observed, protect=lambda job_id: job_id == "a").cancels == ("b",)


def test_the_watchdog_follows_the_earliest_job_or_now() -> None:
    jobs = [OneShot("a", format_instant(NOW + 60_000)), OneShot("b", "tomorrow")]
    at = {due_ms(guard.fire_at) for guard in [watchdog("w", jobs, now=NOW)] if guard}
    assert at == {NOW + 60_000 + 900_000}
    overdue = watchdog("w", [OneShot("a", format_instant(NOW - 60_000))], now=NOW)
    assert overdue is not None
    assert due_ms(overdue.fire_at) == NOW + 900_000
    assert watchdog("w", [OneShot("b", "tomorrow")], now=NOW) is None


def test_a_watchdog_is_due_a_while_after_the_earliest_job() -> None:
    jobs = [OneShot(f"j{n}", format_instant(NOW + ahead)) for n, ahead in enumerate((9000, 5000))]
    found = watchdog("w", jobs, now=NOW)
    assert found is not None
    assert due_ms(found.fire_at) == NOW + 5000 + 900_000


@given(st.lists(instants, min_size=1, max_size=4), st.integers(0, 5_000_000))
def test_a_watchdog_once_armed_stays_within_its_window(dues: list[int], later: int) -> None:
    """It is moved only when it has to be, and never sleeps past its promise."""
    jobs = [OneShot(f"j{n}", format_instant(due)) for n, due in enumerate(dues)]
    first, second = watchdog("w", jobs, now=NOW), watchdog("w", jobs, now=NOW + later)
    assert first is not None
    assert second is not None
    moved = plan([second], [first], now=NOW + later).arms != ()
    assert moved is ((due_ms(second.fire_at) or 0) - (due_ms(first.fire_at) or 0) > 600_000)


@given(st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(-900_000, 7_200_000))))
@example([(0, 0), (1_800_001, 0), (0, 600_000), (0, 0)])
def test_a_spare_watchdog_stays_later_than_the_first_and_moves_only_when_it_has_to(
    steps: list[tuple[int, int]],
) -> None:
    """Each step: so long later, the earliest job is due so far ahead."""
    now = NOW
    armed: dict[str, OneShot] = {}
    for later, ahead in steps:
        now += later
        jobs = [OneShot("a", format_instant(now + ahead))]
        first = watchdog("w", jobs, now=now)
        spare = watchdog("w-2", jobs, now=now, after=3_600_000, slack=2_400_000)
        assert first is not None
        assert spare is not None
        arms = plan([first, spare], list(armed.values()), now=now, protect={"w", "w-2"}).arms
        if before := armed.get("w-2"):
            behind = (due_ms(spare.fire_at) or 0) - (due_ms(before.fire_at) or 0)
            assert (spare in arms) is not (0 <= behind <= 2_400_000)
        armed |= {one.job_id: one for one in arms}
        at = {job_id: due_ms(one.fire_at) or 0 for job_id, one in armed.items()}
        assert at["w-2"] - at["w"] >= 300_000
        assert at["w-2"] <= max(now, now + ahead) + 3_600_000


@pytest.fixture
def nas() -> InMemoryNas:
    return InMemoryNas()


def jobs(count: int) -> list[OneShot]:
    return [OneShot(f"j{n:03}", format_instant(NOW + 60_000 + n * 1000)) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_converge_arms_and_cancels(nas: InMemoryNas, count: int) -> None:
    for one in jobs(count):
        nas.arm(f"orphan-{one.job_id}", one.fire_at)
    with nas.client() as client:
        report = converge(client, jobs(count), callback_url=CALLBACK)
    assert report.ok
    assert {job_id: one.fire_at for job_id, one in nas.armed().items()} == {
        one.job_id: one.fire_at for one in jobs(count)
    }


def test_progress_is_told_of_arms_and_then_of_cancels(nas: InMemoryNas) -> None:
    for one in jobs(10):
        nas.arm(f"orphan-{one.job_id}", one.fire_at)
    told: list[tuple[int, int]] = []
    with nas.client() as client:
        converge(
            client,
            jobs(9),
            callback_url=CALLBACK,
            on_progress=lambda done, total: told.append((done, total)),
        )
    assert told == [(done, total) for total in (9, 10) for done in range(1, total + 1)]


def test_converge_reads_what_is_desired_after_the_list(nas: InMemoryNas) -> None:
    nas.arm("kept", "2026-01-01T01:00:00Z")
    nas.arm("orphan", "2026-01-01T01:00:00Z")

    def desired(listed: Mapping[str, str] | None) -> Desired:
        assert len(nas.requests) == 1
        assert listed == dict.fromkeys(("kept", "orphan"), "2026-01-01T01:00:00.000Z")
        return Desired(jobs(1), {"kept"}.__contains__, "not all")

    with nas.client() as client:
        report = converge(client, desired, callback_url=CALLBACK)
    assert (report.ok, report.problem) == (True, "not all")
    assert set(nas.armed()) == {"kept", jobs(1)[0].job_id}


@pytest.mark.parametrize("body", ["<html>", '{"armed": 1}', "[]", ""])
@pytest.mark.off_contract("response")
def test_an_unusable_list_arms_blindly(nas: InMemoryNas, body: str) -> None:
    nas.arm("orphan", "2026-01-01T01:00:00Z")
    nas.fail_next(200, body=body, operation="list")
    with nas.client() as client:
        report = converge(client, jobs(20), callback_url=CALLBACK)
    assert report.list_error is not None
    assert not report.ok
    assert set(nas.armed()) == {"orphan", *(one.job_id for one in jobs(20))}


def test_a_malformed_item_costs_only_itself(nas: InMemoryNas) -> None:
    for one in jobs(2):
        nas.arm(one.job_id, one.fire_at)
    with nas.client() as client:
        items = [item.to_dict() for item in client.list_armed()]
        body = {"armed": [*items, {"job_id": 7}, {"job_id": "orphan", "fire_at": "soon"}]}
        nas.fail_next(200, body=body, operation="list")
        report = converge(client, jobs(2), callback_url=CALLBACK)
    assert (report.plan.arms, report.plan.cancels) == ((), ())


def test_a_nas_that_does_not_answer_is_not_asked_for_every_job(nas: InMemoryNas) -> None:
    nas.fail_next(drop="before", times=1000)
    with nas.client(max_attempts=1) as client:
        report = converge(client, jobs(100), callback_url=CALLBACK)
    assert len(nas.requests) == 2
    assert len(report.failed) == 100
    assert all(isinstance(outcome.error, NasConnectionError) for outcome in report.failed)


def test_a_nas_that_stops_answering_is_not_asked_for_the_rest(nas: InMemoryNas) -> None:
    nas.fail_next(drop="before", operation="provision", times=1000)
    with nas.client(max_attempts=1) as client:
        report = converge(client, jobs(8), callback_url=CALLBACK)
    assert len(nas.sent("provision")) == 1
    assert [outcome.job_id for outcome in report.failed] == [one.job_id for one in jobs(8)]


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_nas_that_is_down_is_not_asked_for_every_job(
    nas: InMemoryNas, status: int, count: int
) -> None:
    nas.fail_next(status, times=1000)
    with nas.client(max_attempts=2) as client:
        report = converge(client, jobs(count), callback_url=CALLBACK)
    assert len(nas.sent("provision")) == 2
    assert len(report.failed) == count
    assert all(isinstance(outcome.error, ServerError) for outcome in report.failed)


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_nas_whose_list_asks_for_long_to_be_left_alone_is(
    nas: InMemoryNas, status: int, count: int
) -> None:
    nas.fail_next(status, headers={"Retry-After": "300"}, times=1000)
    with nas.client() as client:
        report = converge(client, jobs(count), callback_url=CALLBACK)
    assert len(nas.requests) == 1
    assert [outcome.error for outcome in report.failed] == [report.list_error] * count


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("operation", ["provision", "cancel"])
def test_a_nas_that_asks_for_long_to_be_left_alone_is(
    nas: InMemoryNas, status: int, count: int, operation: str
) -> None:
    for one in jobs(count):
        nas.arm(f"orphan-{one.job_id}", one.fire_at)
    nas.fail_next(status, headers={"Retry-After": "300"}, operation=operation, times=1000)
    with nas.client(max_connections=2) as client:
        report = converge(client, jobs(count), callback_url=CALLBACK)
    assert len(nas.sent(operation)) <= (2 if count > 8 else 1)
    assert len(nas.sent("cancel")) <= (0 if operation == "provision" else 2)
    assert {getattr(error, "retry_after", None) for error in report.errors} == {300.0}
    assert len(report.failed) == (2 if operation == "provision" else 1) * count


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_nas_that_asks_for_a_moment_is_given_it(
    nas: InMemoryNas, status: int, count: int
) -> None:
    nas.fail_next(status, headers={"Retry-After": "5"}, operation="provision", times=3)
    with nas.client() as client:
        assert converge(client, jobs(count), callback_url=CALLBACK).ok
    assert len(nas.sent("provision")) == count + 3


def test_writes_that_fail_are_reported_and_the_others_done(nas: InMemoryNas) -> None:
    nas.fail_next(503, operation="provision")
    with nas.client(max_attempts=1) as client:
        report = converge(client, jobs(3), callback_url=CALLBACK)
    assert [outcome.job_id for outcome in report.failed] == ["j000"]
    assert len(report.errors) == 1
    assert set(nas.armed()) == {"j001", "j002"}


def test_a_cancel_that_fails_is_reported_and_the_others_done(nas: InMemoryNas) -> None:
    for one in jobs(3):
        nas.arm(one.job_id, one.fire_at)
    nas.fail_next(503, operation="cancel")
    with nas.client(max_attempts=1) as client:
        report = converge(client, [], callback_url=CALLBACK)
    assert [(outcome.job_id, outcome.error) for outcome in report.failed] == [
        ("j000", report.errors[0])
    ]
    assert set(nas.armed()) == {"j000"}


@pytest.mark.parametrize(
    ("status", "kind"), [(403, IdentityRejectedError), (429, RateLimitedError)]
)
def test_what_no_request_heals_is_raised(
    nas: InMemoryNas, status: int, kind: type[Exception]
) -> None:
    nas.fail_next(status, times=100)
    with nas.client(max_attempts=1) as client, pytest.raises(kind):
        converge(client, jobs(3), callback_url=CALLBACK)
    assert len(nas.requests) == 1


def test_without_a_token_nothing_is_sent(nas: InMemoryNas) -> None:
    with nas.client(lambda: "") as client, pytest.raises(TokenError):
        converge(client, jobs(3), callback_url=CALLBACK)
    assert nas.requests == []


@pytest.mark.parametrize("operation", ["provision", "cancel"])
@pytest.mark.parametrize("count", [1, 2, 8, 9, 40])
def test_a_write_that_fails_tells_its_attempts_however_many_there_are(
    nas: InMemoryNas, operation: str, count: int
) -> None:
    wanted = jobs(count) if operation == "provision" else []
    for one in [] if wanted else jobs(count):
        nas.arm(one.job_id, one.fire_at)
    nas.fail_next(503, operation=operation, times=1000)
    with nas.client(max_attempts=3) as client:
        report = converge(client, wanted, callback_url=CALLBACK)
    assert [outcome.attempts for outcome in report.failed] == [3] * count
    assert all(outcome.elapsed > 0 for outcome in report.failed)


def test_a_write_that_was_not_sent_has_no_attempts(nas: InMemoryNas) -> None:
    nas.fail_next(drop="before", operation="provision", times=1000)
    with nas.client(max_attempts=2) as client:
        report = converge(client, jobs(3), callback_url=CALLBACK)
    assert [outcome.attempts for outcome in report.failed] == [2, 0, 0]


def test_however_many_jobs_there_are_each_is_armed_and_each_orphan_cancelled() -> None:
    nas = InMemoryNas()
    for number in range(1_200):
        nas.arm(f"orphan-{number}", "2026-06-01T00:00:00Z")
    wanted = [OneShot(f"job-{number}", "2026-06-01T00:00:00Z") for number in range(1_200)]
    with nas.client() as client:
        assert converge(client, wanted, callback_url=CALLBACK, now=NOW).ok
    assert nas.armed().keys() == {one.job_id for one in wanted}
