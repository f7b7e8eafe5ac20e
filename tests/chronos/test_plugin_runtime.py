"""The process: a reconciler per home, retries, rejection, the watchdog, changes nobody tells of."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from chronos_plugin.host import ChronosConfig
from chronos_plugin.plugin_runtime import PluginRuntime
from chronos_plugin.store import Store
from nas_sdk._core.instants import parse_instant
from nas_sdk.reconcile.desired import WATCHDOG
from tests.chronos.conftest import World
from tests.support.fake_hermes import HOME

OTHER = Path("/agent/home/profiles/other")


def served(world: World, **options: object) -> PluginRuntime:
    """A process in which hermes runs its scheduler."""
    process = world.boot()
    world.provider(process).start(threading.Event(), **options)
    world.nas.requests.clear()
    return process


def watchdogs(world: World) -> dict[str, int]:
    """When each watchdog is due, in seconds from now."""
    now = int(world.runtime.time() * 1000)
    return {
        job_id: (parse_instant(at) - now) // 1000
        for job_id, at in world.armed().items()
        if job_id.startswith(WATCHDOG)
    }


def test_one_reconciler_for_a_home_whatever_becomes_of_its_settings(world: World) -> None:
    process = world.boot()
    reconciler = process.reconciler()
    world.hermes.config = {"callback_url": "https://moved.example.com", "watchdog": True}
    assert process.reconciler() is reconciler
    assert (reconciler.callback_url, reconciler.watchdog) == ("https://moved.example.com", True)
    assert reconciler.serving_status.folder == HOME / "cron" / "chronos"
    world.hermes.config = {"portal_url": "https://other.test"}
    assert process.reconciler() is not reconciler


def test_many_requests_cost_few_converges(world: World) -> None:
    world.hermes.add("j1", 600)
    reconciler = served(world).reconciler()
    world.nas.fail_next(delay=1.0)
    tickets = [reconciler.request() for _ in range(100)]
    assert reconciler.wait(tickets[-1], 10)
    assert len(world.nas.requests) == 1
    world.nas.fail_next(delay=1.0)
    reconciler.request()
    world.runtime.sleep(0.5)
    late = reconciler.request()  # the one under way began too early for this
    assert reconciler.wait(late, 10)
    assert len(world.nas.requests) == 3


def test_a_converge_that_began_too_early_satisfies_nobody(world: World) -> None:
    world.hermes.add("j1", 6000)
    reconciler = served(world).reconciler()
    world.nas.fail_next(delay=1.0)
    reconciler.request()
    world.runtime.sleep(0.5)
    late = reconciler.request()
    world.nas.fail_next(503, times=1000)
    assert not reconciler.wait(late, 10)


def test_a_request_that_can_wait_does_not_put_off_one_that_cannot(world: World) -> None:
    world.hermes.add("j1", 6000)
    reconciler = served(world).reconciler()
    world.nas.fail_next(delay=1.0)
    reconciler.request()
    world.runtime.sleep(0.5)
    urgent = reconciler.request()
    reconciler.request(delay=600)
    assert reconciler.wait(urgent, 10)


def test_failures_are_tried_again_until_they_succeed(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(503, times=40)
    world.provider(process).on_jobs_changed()
    world.runtime.sleep(600)
    assert set(world.armed()) == {"j1"}


def test_retry_after_is_obeyed(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(429, headers={"Retry-After": "300"})
    provider = world.provider(process)
    provider.on_jobs_changed()
    world.runtime.sleep(120)
    sent = len(world.nas.requests)
    provider.on_jobs_changed()
    provider._arm_one_shot({"id": "j1", "next_run_at": world.hermes.next_run("j1")})
    world.runtime.sleep(120)
    assert len(world.nas.requests) == sent
    world.runtime.sleep(600)
    assert set(world.armed()) == {"j1"}


def test_a_login_that_fails_is_left_alone_for_a_while(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(401, times=1000)
    calls = world.hermes.token_calls
    world.provider(process).on_jobs_changed()
    world.runtime.sleep(290)
    assert world.hermes.token_calls - calls <= 10
    world.nas.faults.clear()
    world.runtime.sleep(120)
    assert set(world.armed()) == {"j1"}


def test_no_retries_once_hermes_stops(world: World) -> None:
    stop = threading.Event()
    process = world.boot()
    provider = world.provider(process)
    provider.start(stop)
    stop.set()
    world.hermes.add("j1", 600)
    world.nas.fail_next(503, times=1000)
    provider.on_jobs_changed()
    world.runtime.sleep(60)
    sent = len(world.nas.requests)
    world.runtime.sleep(600)
    assert len(world.nas.requests) == sent


def test_what_nas_refuses_for_good_is_not_repeated(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(400, operation="provision")
    world.provider(process).on_jobs_changed()
    world.runtime.sleep(600)
    assert len(world.nas.sent("provision")) == 1
    assert "cannot be armed" in caplog.text


@pytest.mark.parametrize("refused", ["list", "provision"])
def test_an_unknown_agent_falls_back_to_the_ticker_once(
    world: World, caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    world.hermes.add("j1", 60, every=60)
    world.nas.fail_next(403, operation=refused, times=1000)
    adapters, loop, stop = object(), object(), threading.Event()
    provider = world.provider(world.boot())
    provider.start(stop, adapters=adapters, loop=loop, interval=60)
    world.runtime.sleep(1)
    (ticker,) = world.hermes.tickers
    assert {**ticker, "stop_event": None} == {
        **{"stop_event": None, "adapters": adapters, "loop": loop, "interval": 60}
    }
    sent = len(world.nas.requests)
    provider.on_jobs_changed()
    provider.reconcile()
    provider._arm_one_shot({"id": "j1", "next_run_at": world.hermes.next_run("j1")})
    world.runtime.sleep(600)
    assert len(world.nas.requests) == sent
    assert len(world.hermes.tickers) == 1
    assert caplog.text.count("restore the hosted credential in the portal") == 1


def test_an_unknown_agent_is_told_of_once_however_many_learn_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    process = served(world)
    provider = world.provider(process)
    world.nas.fail_next(403, delay=1.0, times=1000)
    for number in range(5):
        world.hermes.add(f"j{number}", 0, every=60)
        world.runtime.spawn(partial(provider.fire_due, f"j{number}"), "fire")
    world.runtime.sleep(60)
    assert caplog.text.count("restore the hosted credential in the portal") == 1


def test_an_agent_that_becomes_unknown_falls_back_then(world: World) -> None:
    process = served(world, adapters="theirs")
    world.hermes.add("j1", 0, every=60)
    world.nas.fail_next(403, times=1000)
    assert world.provider(process).fire_due("j1")
    world.runtime.sleep(1)
    assert len(world.nas.requests) == 1
    assert [ticker["adapters"] for ticker in world.hermes.tickers] == ["theirs"]


def test_an_unknown_agent_at_a_prompt_starts_no_ticker(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.nas.fail_next(403, times=1000)
    before = world.runtime.time()
    world.provider().on_jobs_changed()
    assert world.runtime.time() - before < 1
    said = capsys.readouterr().err.splitlines()
    assert "not armed" in said[0]
    assert "restore the hosted credential in the portal" in said[1]
    assert all(len(line) <= 80 for line in said)
    assert world.hermes.tickers == []


def test_the_ticker_ends_when_everything_is_armed_again_and_may_come_back(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    for number in (1, 2):
        world.nas.fail_next(403, times=1000)
        reconciler = process.reconciler()
        assert not reconciler.wait(reconciler.request(), 60)
        world.runtime.sleep(1)
        assert len(world.hermes.tickers) == number
        stop = world.hermes.tickers[-1]["stop_event"]
        world.nas.faults.clear()
        world.nas.fail_next(503, times=4)
        world.runtime.sleep(900)  # the next look has begun
        assert not stop.is_set()
        assert not stop.wait(0)
        world.runtime.sleep(30)
        assert stop.is_set()
        assert stop.wait(60)
        assert "j1" in world.armed()
    assert all(ticker["stop_event"].is_set() for ticker in world.hermes.tickers)


def test_the_ticker_ends_with_hermes_and_starts_with_it(world: World) -> None:
    process = world.boot()
    world.nas.fail_next(403, times=1000)
    for number in (1, 2):
        stop = threading.Event()
        world.provider(process).start(stop)
        world.runtime.sleep(1)
        assert len(world.hermes.tickers) == number
        stop.set()
        assert world.hermes.tickers[-1]["stop_event"].wait(60)


def test_another_profile_that_is_known_ends_no_ticker(world: World) -> None:
    process = served(world)
    world.nas.fail_next(403)
    reconciler = process.reconciler()
    reconciler.wait(reconciler.request(), 60)
    other = process.reconciler(world.hermes.settings(OTHER))
    world.hermes.stores[OTHER] = {}
    assert other.wait(other.request(), 60)
    world.runtime.sleep(1)
    assert not world.hermes.tickers[0]["stop_event"].is_set()


def test_a_verified_fire_is_a_sign_that_the_agent_is_known_again(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(403, times=3)
    world.provider(process).reconcile()
    for _ in range(2):
        process.request_reconcile()
        world.runtime.sleep(60)
    assert len(world.nas.requests) == 3
    process.request_reconcile(woken=False)
    world.runtime.sleep(60)
    assert len(world.nas.requests) == 3
    process.request_reconcile()
    world.runtime.sleep(5)
    assert set(world.armed()) == {"j1"}


def test_a_job_made_where_the_ticker_has_taken_over_needs_no_arm(world: World) -> None:
    process = served(world)
    provider = world.provider(process)
    world.nas.fail_next(403, times=1000)
    provider.reconcile()
    world.hermes.add("j1", 60)
    provider.register_job({"id": "j1"})
    assert world.armed() == {}


def test_a_scheduler_that_starts_after_the_rejection_gets_its_ticker(world: World) -> None:
    process = world.boot()
    world.nas.fail_next(403, times=1000)
    world.provider(process).reconcile()
    world.provider(process).start(threading.Event())
    world.runtime.sleep(1)
    assert len(world.hermes.tickers) == 1


def test_another_profile_s_rejection_starts_no_ticker(world: World) -> None:
    process = served(world)
    other = world.hermes.settings(OTHER)
    world.nas.fail_next(403, times=1000)
    reconciler = process.reconciler(other)
    reconciler.wait(reconciler.request(), 60)
    assert reconciler.status.fatal_error
    assert world.hermes.tickers == []


def test_a_thread_that_cannot_start_is_started_by_the_next_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = served(world)
    reconciler = process.reconciler()
    world.hermes.add("j1", 7200)
    with monkeypatch.context() as patch:
        patch.setattr(world.runtime, "spawn", no_thread)
        with pytest.raises(RuntimeError):
            reconciler.request()
    assert reconciler.wait(reconciler.request(), 60)
    assert set(world.armed()) == {"j1"}


def no_thread(target: object, name: str) -> None:
    raise RuntimeError("can't start new thread")


def test_a_firewall_s_403_is_no_verdict_on_the_agent(world: World) -> None:
    process = served(world)
    world.hermes.add("j1", 7200)
    world.nas.fail_next(403, body="<html>blocked</html>", times=5)
    world.provider(process).on_jobs_changed()
    world.runtime.sleep(600)
    assert world.hermes.tickers == []
    assert set(world.armed()) == {"j1"}


def test_a_portal_url_that_cannot_work_falls_back_to_the_ticker(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.config = {"portal_url": "portal.example.com"}
    world.provider().start(threading.Event())
    world.runtime.sleep(1)
    assert len(world.hermes.tickers) == 1
    assert "an absolute https URL is needed" in caplog.text


def test_the_watchdog_is_15_minutes_after_the_earliest_job(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 600)
    world.hermes.add("j2", 60)
    world.provider().reconcile()
    assert sorted(watchdogs(world).values()) == [60 + 900, 60 + 3_600]


def test_the_watchdog_is_not_moved_at_every_fire(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60, every=60)
    provider = world.provider()
    provider.reconcile()
    world.live(3600, provider.fire_due)
    moves = [job_id for job_id in world.writes() if job_id.startswith(WATCHDOG)]
    assert len(world.hermes.runs) == 60
    assert len(moves) <= 8 + 2  # those of the second among them


def test_the_watchdog_wakes_an_agent_that_died_in_a_fire(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60, every=60)
    world.provider().reconcile()
    world.runtime.sleep(60)
    world.deliver(lambda job_id: world.hermes.claim(job_id))  # killed after it claimed
    (watchdog, left), _ = sorted(watchdogs(world).items())
    world.runtime.sleep(left)
    fresh = world.boot()
    assert world.deliver(lambda job_id: fresh.request_reconcile()) == [watchdog]
    world.runtime.sleep(5)
    assert "j1" in world.armed()
    world.live(60, world.provider(fresh).fire_due)
    assert world.hermes.runs == ["j1", "j1"]


def test_a_second_watchdog_wakes_an_agent_that_died_in_the_fire_of_the_first(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60, every=60)
    world.provider().reconcile()
    world.runtime.sleep(60)
    world.deliver(lambda job_id: world.hermes.claim(job_id))  # killed after it claimed
    (first, left), (second, more) = sorted(watchdogs(world).items())
    assert (left, more) == (900, 3600)
    world.runtime.sleep(left)
    assert world.deliver(lambda job_id: None) == [first]  # accepted, and killed again
    world.runtime.sleep(more - left)
    fresh = world.boot()
    assert world.deliver(lambda job_id: fresh.request_reconcile()) == [second]
    world.runtime.sleep(5)
    assert {"j1", first, second} == set(world.armed())


def test_a_host_that_asks_before_it_answers_needs_no_second_watchdog(later_world: World) -> None:
    later_world.hermes.config = {"watchdog": True}
    later_world.hermes.add("j1", 60)
    later_world.provider().reconcile()
    assert list(watchdogs(later_world).values()) == [960]


def test_a_naive_time_is_this_machine_s(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-5")
    time.tzset()
    try:
        world.hermes.add("j1", 60, next_run_at="2026-06-18T12:34:56.789000")
        world.provider().reconcile()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert world.armed() == {"j1": "2026-06-18T12:34:56.789000+05:00"}


def test_no_jobs_no_watchdog(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60)
    provider = world.provider()
    provider.reconcile()
    world.hermes.remove("j1")
    provider.reconcile()
    assert world.armed() == {}


def test_a_watchdog_that_is_turned_off_is_cancelled(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    world.hermes.config = {"watchdog": False}
    world.provider().reconcile()
    assert set(world.armed()) == {"j1"}


def test_profiles_leave_each_other_s_arms_alone(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.stores[OTHER] = {}
    world.hermes.add("mine", 60)
    world.hermes.add("theirs", 60, home=OTHER)
    for home in (HOME, OTHER, HOME):
        world.hermes.at = home
        world.provider().reconcile()
    assert {"mine", "theirs"} <= set(world.armed())
    assert len(watchdogs(world)) == 4
    world.hermes.change("mine", state="paused")
    world.provider().reconcile()
    assert "theirs" in world.armed()
    assert "mine" not in world.armed()
    assert len(watchdogs(world)) == 2


def test_another_profile_s_job_without_a_time_keeps_its_arm(world: World) -> None:
    world.hermes.stores[OTHER] = {}
    world.hermes.add("theirs", 60, home=OTHER)
    world.hermes.at = OTHER
    world.provider().reconcile()
    world.hermes.stores[OTHER]["theirs"]["next_run_at"] = None
    for home in (OTHER, HOME):
        world.hermes.at = home
        world.provider().reconcile()
        assert set(world.armed()) == {"theirs"}


def test_nothing_is_cancelled_while_another_profile_is_unreadable(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.stores[OTHER] = {"broken": None}  # type: ignore[dict-item]  # that is the point
    world.nas.arm("theirs", "2026-01-02T00:00:00Z")
    world.hermes.add("mine", 60)
    world.provider().reconcile()
    assert set(world.armed()) == {"mine", "theirs"}
    assert "nothing is cancelled" in caplog.text


def test_a_verified_fire_heals_every_home(world: World) -> None:
    world.hermes.stores[OTHER] = {}
    world.hermes.add("mine", 600)
    world.hermes.add("theirs", 600, home=OTHER)
    process = world.boot()
    process.request_reconcile()
    assert process.serving  # what gets fires is no command at a prompt
    world.runtime.sleep(5)
    assert set(world.armed()) == {"mine", "theirs"}


def test_a_look_at_a_home_that_never_had_a_store_arms_nothing(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.broken[HOME] = Store(problem="jobs.json is not there", is_missing=True)
    process = world.boot()
    process.request_reconcile(woken=False)
    assert process.serving
    world.runtime.sleep(600)
    assert (world.armed(), process.reconciler().status.last_error) == ({}, "")
    process.request_reconcile()  # who was fired has had jobs
    world.runtime.sleep(5)
    assert process.reconciler().status.last_error == "jobs.json is not there"
    assert len(watchdogs(world)) == 2


def test_a_home_that_was_fired_has_lost_its_store_whoever_looks_later(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.broken[HOME] = Store(problem="jobs.json is not there", is_missing=True)
    process = world.boot()
    process.request_reconcile()
    world.runtime.sleep(5)
    world.nas.forget()  # else the watchdogs that are armed tell as much
    process.request_reconcile(woken=False)
    world.runtime.sleep(5)
    assert process.reconciler().status.last_error == "jobs.json is not there"
    assert len(watchdogs(world)) == 2


def test_a_home_that_cannot_be_configured_keeps_no_other_from_being_armed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.stores[OTHER] = {}
    world.hermes.add("theirs", 600, home=OTHER)
    settings = world.hermes.settings

    def of(home: Path | None = None) -> ChronosConfig:
        if home == HOME:
            raise ValueError("config.yaml is no YAML")
        return settings(home)

    monkeypatch.setattr(world.hermes, "settings", of)
    world.boot().request_reconcile()
    world.runtime.sleep(5)
    assert set(world.armed()) == {"theirs"}
    assert f"the jobs of {HOME} cannot be armed: config.yaml is no YAML" in caplog.text


def test_a_heal_leaves_homes_alone_that_do_not_use_chronos(world: World) -> None:
    world.hermes.config = {"active": False}
    world.hermes.add("mine", 600)
    world.boot().request_reconcile()
    world.runtime.sleep(5)
    assert world.nas.requests == []


def test_changes_that_nobody_tells_of_are_noticed(world: World) -> None:
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    served(world)
    world.runtime.sleep(1)
    world.hermes.add("j1", 600)
    world.runtime.sleep(5)
    assert set(world.armed()) == {"j1"}
    world.hermes.change("j1", state="paused")
    world.runtime.sleep(5)
    assert world.armed() == {}


def test_a_store_that_cannot_be_read_for_a_moment_is_followed_all_the_same(
    world: World,
) -> None:
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    served(world)
    world.runtime.sleep(1)
    world.hermes.broken[HOME] = Store(problem="jobs.json is not JSON")
    world.hermes.add("j1", 6000)
    world.runtime.sleep(1)
    world.hermes.broken.clear()
    world.runtime.sleep(10)  # nothing changes any more, and nobody asks
    assert set(world.armed()) == {"j1"}
    world.hermes.add("j2", 6000)
    world.runtime.sleep(10)
    assert set(world.armed()) == {"j1", "j2"}


def test_changes_that_cannot_be_noticed_are_tried_again_at_the_next_event(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.runtime, "changes", no_watches)
        process = served(world)
        world.runtime.sleep(1)
    assert "are not noticed any more: no watches left" in caplog.text
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    process.reconciler()
    world.runtime.sleep(1)
    world.hermes.add("j1", 6000)
    world.runtime.sleep(10)
    assert set(world.armed()) == {"j1"}


def no_watches(file: Path, stopped: object) -> list[object]:
    raise OSError("no watches left")


def test_changes_that_change_no_fire_time_cost_nothing(world: World) -> None:
    world.hermes.add("j1", 600)
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    served(world)
    world.runtime.sleep(1)
    world.hermes.change("j1", name="renamed")
    world.runtime.sleep(60)
    assert world.nas.requests == []


def test_a_store_that_changes_during_a_converge_is_read_again(world: World) -> None:
    world.hermes.add("j1", 600)
    reconciler = world.boot().reconciler()
    world.nas.fail_next(delay=2.0, operation="provision")
    ticket = reconciler.request()
    world.runtime.sleep(1)
    world.hermes.change("j1", next_run_at="2026-01-01T05:00:00+00:00")
    assert reconciler.wait(ticket, 30)
    assert world.armed() == {"j1": "2026-01-01T05:00:00+00:00"}


def test_an_arm_made_while_the_list_is_on_its_way_is_no_orphan(world: World) -> None:
    world.hermes.add("j1", 600)
    first, second = world.boot(), world.boot()
    reconciler = first.reconciler()
    world.provider(first).reconcile()
    world.nas.fail_next(delay=2.0, operation="list")
    ticket = reconciler.request()
    world.runtime.sleep(1)
    world.hermes.add("j2", 600)
    world.provider(second)._arm_one_shot({"id": "j2", "next_run_at": world.hermes.next_run("j2")})
    assert reconciler.wait(ticket, 30)
    assert set(world.armed()) == {"j1", "j2"}
    assert world.nas.sent("cancel") == []


def test_two_claims_stale_and_live(world: World) -> None:
    now = world.runtime.time()
    world.hermes.add("live", -400, fire_claim={"at": world.hermes.iso(now - 299)})
    world.hermes.add("stale", -400, fire_claim={"at": world.hermes.iso(now - 300)})
    world.hermes.add("future", -400, fire_claim={"at": world.hermes.iso(now + 60)})
    world.hermes.add("broken", -400, fire_claim="yesterday")
    world.hermes.add("ticker", -400, run_claim={"at": world.hermes.iso(now - 1799)})
    world.hermes.add("dead ticker", -400, run_claim={"at": world.hermes.iso(now - 1800)})
    process = world.boot()
    names = set(world.hermes.stores[HOME])
    assert set(process.reconciler().claimed_elsewhere(names)) == {"live", "ticker"}
    assert world.hermes.asked_since == [now - 6 * 3_600]


def test_each_profile_calls_with_the_token_of_its_own_login(world: World) -> None:
    world.hermes.stores[OTHER] = {}
    process = world.boot()
    mine = process.reconciler()
    world.hermes.at = OTHER
    mine.client().list_armed()  # as a thread does that works on another profile
    assert world.hermes.token_homes == {HOME}
    process.reconciler().client().list_armed()
    assert world.hermes.token_homes == {HOME, OTHER}
