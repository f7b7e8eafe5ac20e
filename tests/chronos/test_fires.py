"""Fires: due, early, doubled, lost, gone; what is armed after them."""

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chronos_plugin import profiles
from chronos_plugin.host import ChronosConfig, Host
from chronos_plugin.scheduler import NotArmedError, PausedError
from chronos_plugin.store import Store
from nas_sdk.reconcile import EarlyFireError
from tests.chronos.conftest import World
from tests.support.fake_hermes import HOME


def test_a_fire_runs_the_job_and_arms_the_next(world: World) -> None:
    world.hermes.add("j1", 60, every=60)
    provider = world.provider()
    provider.reconcile()
    world.runtime.sleep(60)
    world.deliver(provider.fire_due)
    world.runtime.sleep(1)
    assert world.hermes.runs == ["j1"]
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_fire_costs_one_provision_and_one_list(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    provider = world.provider()
    assert provider.fire_due("j1")
    world.runtime.sleep(5)
    assert [request.url.path.rsplit("/")[-1] for request in world.nas.requests] == [
        "provision",
        "list",
    ]


def test_a_job_that_is_gone_after_its_run_is_not_armed(world: World) -> None:
    world.hermes.add("once", 0)
    provider = world.provider()
    assert provider.fire_due("once")
    assert world.nas.sent("provision") == []


def test_a_fire_for_a_job_that_is_gone_only_converges(world: World) -> None:
    world.hermes.add("other", 600)
    assert not world.provider().fire_due("gone")
    world.runtime.sleep(5)
    assert world.hermes.runs == []
    assert set(world.armed()) == {"other"}


def test_a_fire_that_lost_its_claim_arms_nothing_itself(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    world.hermes.claim("j1")
    world.hermes.change("j1", next_run_at=world.hermes.iso(world.runtime.time()))
    assert not world.provider().fire_due("j1")
    world.runtime.sleep(5)
    assert world.hermes.runs == []
    assert world.armed_jobs() == {}


def test_a_lost_claim_is_followed_by_a_converge(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    world.hermes.claim("j1")  # a person's run: it is under way, and named the next occurrence
    assert not world.provider().fire_due("j1")
    world.runtime.sleep(5)
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_fire_delivered_again_after_the_run_does_not_run_it_again(world: World) -> None:
    world.hermes.add("j1", 0, every=3600)
    provider = world.provider()
    assert provider.fire_due("j1")
    world.runtime.sleep(60)
    assert not provider.fire_due("j1")
    assert world.hermes.runs == ["j1"]


def test_a_fire_a_little_early_waits_until_the_job_is_due(world: World) -> None:
    world.hermes.add("j1", 20, every=3600)
    due = world.runtime.time() + 20
    ran_at: list[float] = []
    world.hermes.on_run = lambda job_id: ran_at.append(world.runtime.time())
    assert world.provider().fire_due("j1")
    assert ran_at == [due]


def test_a_job_paused_while_an_early_fire_waits_does_not_run(world: World) -> None:
    world.hermes.add("j1", 20)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("j1"), "fire")
    world.runtime.sleep(10)
    world.hermes.change("j1", state="paused")
    world.runtime.sleep(60)
    assert world.hermes.runs == []


def test_a_job_put_off_while_an_early_fire_waits_does_not_run(world: World) -> None:
    world.hermes.add("j1", 20)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("j1"), "fire")
    world.runtime.sleep(10)
    world.hermes.change("j1", next_run_at=world.hermes.iso(world.runtime.time() + 3600))
    world.runtime.sleep(60)
    assert world.hermes.runs == []
    assert set(world.armed()) == {"j1"}


def test_an_early_fire_that_waits_is_not_armed_again(world: World) -> None:
    world.hermes.add("j1", 20, every=3600)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("j1"), "fire")
    world.runtime.sleep(15)
    assert world.nas.sent("provision") == []


def test_two_fires_at_once_run_the_job_once(world: World) -> None:
    world.hermes.add("j1", 10, every=60)
    world.hermes.on_run = lambda job_id: world.runtime.sleep(5)
    provider = world.provider()
    for _ in range(2):
        world.runtime.spawn(lambda: provider.fire_due("j1"), "fire")
    world.runtime.sleep(20)
    assert world.hermes.runs == ["j1"]


def test_a_run_longer_than_a_claim_is_neither_armed_nor_doubled(world: World) -> None:
    world.hermes.add("long", 0)
    world.hermes.on_run = lambda job_id: world.runtime.sleep(3600)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("long"), "fire")
    world.runtime.sleep(1000)
    provider.reconcile()
    assert world.armed() == {}
    assert not provider.fire_due("long")
    world.runtime.sleep(4000)
    assert world.hermes.runs == ["long"]


def test_a_run_in_another_process_is_neither_armed_nor_doubled(world: World) -> None:
    world.hermes.add("long", -1000)
    world.hermes.alive = {"long"}
    provider = world.provider()
    provider.reconcile()
    assert world.armed_jobs() == {}
    assert not provider.fire_due("long")
    assert world.hermes.runs == []


def test_the_arm_of_a_job_in_hand_is_not_cancelled(world: World) -> None:
    world.hermes.add("j1", -10)
    world.nas.arm("j1", world.hermes.next_run("j1"))  # its delivery has not been settled yet
    world.hermes.claim("j1")
    world.provider().reconcile()
    assert set(world.armed_jobs()) == {"j1"}
    assert "j1" not in world.writes()


def test_jobs_others_have_in_hand_are_looked_at_again(world: World) -> None:
    world.hermes.add("j1", -1)
    world.hermes.claim("j1")
    world.provider().reconcile()
    assert world.armed_jobs() == {}
    world.runtime.sleep(400)  # the claim went stale: whoever had it died
    assert set(world.armed()) == {"j1"}


def test_the_next_of_a_long_run_is_armed_while_it_lasts(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    world.hermes.on_run = lambda job_id: world.runtime.sleep(30)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("j1"), "fire")
    world.runtime.sleep(10)
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_fire_waits_until_the_next_is_armed(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    provider = world.provider()
    provider.start(threading.Event())
    world.nas.fail_next(503, times=6)
    assert provider.fire_due("j1")
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_fire_waits_no_longer_than_20_seconds(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    provider = world.provider()
    world.nas.fail_next(503, times=1000)
    before = world.runtime.time()
    assert provider.fire_due("j1")
    assert world.runtime.time() - before <= 30


def test_a_fire_waits_for_an_arm_that_fails_at_first(world: World) -> None:
    world.hermes.add("j1", 0, every=600)
    world.nas.fail_next(503, times=1000)

    def recover() -> None:
        world.runtime.sleep(5)
        world.nas.faults.clear()

    world.runtime.spawn(recover, "outage")
    assert world.provider().fire_due("j1")
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_fire_that_ran_nothing_waits_for_nothing(world: World) -> None:
    world.hermes.add("j1", 0, every=600)
    world.hermes.claim("j1")
    world.nas.fail_next(delay=10.0)
    before = world.runtime.time()
    assert not world.provider().fire_due("j1")
    assert world.runtime.time() == before


def test_a_run_that_fails_on_a_later_host_waits_for_nothing(later_world: World) -> None:
    later_world.hermes.add("j1", 0, every=600)
    provider = later_world.provider()
    claimed = provider.claim_fire("j1")
    later_world.hermes.on_run = crash
    later_world.nas.fail_next(delay=10.0)
    before = later_world.runtime.time()
    with pytest.raises(RuntimeError, match="disk"):
        provider.fire_claimed(claimed)
    assert later_world.runtime.time() == before


def crash(job_id: str) -> None:
    raise RuntimeError("the disk is full")


def test_a_fire_that_raises_is_followed_by_a_converge(world: World) -> None:
    world.hermes.add("j1", 0, every=60)
    world.hermes.on_run = crash
    provider = world.provider()
    with pytest.raises(RuntimeError, match="disk"):
        provider.fire_due("j1")
    world.runtime.sleep(5)
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_long_run_that_fails_is_followed_by_a_converge(world: World) -> None:
    world.hermes.add("j1", 0, every=60)

    def fail(job_id: str) -> None:
        world.runtime.sleep(30)
        world.hermes.change("j1", next_run_at=world.hermes.iso(world.runtime.time() + 600))
        raise RuntimeError("no")

    world.hermes.on_run = fail
    with pytest.raises(RuntimeError):
        world.provider().fire_due("j1")
    world.runtime.sleep(1)
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_long_run_on_a_later_host_is_neither_armed_nor_doubled(later_world: World) -> None:
    world = later_world
    world.hermes.add("long", 0)
    world.hermes.on_run = lambda job_id: world.runtime.sleep(3600)
    provider = world.provider()
    world.runtime.spawn(lambda: provider.fire_due("long"), "fire")
    world.runtime.sleep(1000)
    provider.reconcile()
    assert world.armed() == {}


def test_a_later_host_claims_first_and_arms_after_the_run(later_world: World) -> None:
    world = later_world
    world.hermes.add("j1", 0, every=60)
    provider = world.provider()
    claimed = provider.claim_fire("j1")
    assert world.nas.sent("provision") == []
    assert provider.fire_claimed(claimed, adapters=None, loop=None, cancel_event=None)
    assert world.hermes.runs == ["j1"]
    assert world.armed() == {"j1": world.hermes.next_run("j1")}


def test_a_later_host_answers_duplicate_to_an_early_fire(later_world: World) -> None:
    later_world.hermes.add("j1", 31, every=60)
    assert later_world.provider().claim_fire("j1") is None


@pytest.mark.parametrize("how", ["force", "manual"])
def test_a_person_may_fire_early(later_world: World, how: str) -> None:
    later_world.hermes.add("j1", 3000, every=3600)
    assert later_world.provider().claim_fire("j1", **{how: True}) is not None


def test_a_paused_host_claims_nothing_but_what_a_person_fires(later_world: World) -> None:
    world = later_world
    world.hermes.add("j1", 0, every=60)
    provider, world.hermes.paused = world.provider(), True
    with pytest.raises(PausedError, match="hermes resume"):
        provider.claim_fire("j1")
    assert provider.claim_fire("j1", manual=True) is not None
    world.hermes.add("j2", 0, every=60)
    world.hermes.paused = False
    assert provider.claim_fire("j2") is not None


def test_a_later_host_is_not_held_up_past_nas_s_patience(later_world: World) -> None:
    later_world.hermes.add("j1", 20, every=60)
    with pytest.raises(EarlyFireError, match="j1"):
        later_world.provider().claim_fire("j1")
    later_world.hermes.add("j2", 14, every=60)
    assert later_world.provider().claim_fire("j2") is not None


def test_each_host_gets_the_methods_it_drives(world: World, later_world: World) -> None:
    assert "claim_fire" not in dir(type(world.provider()))
    late = type(later_world.provider())
    assert late.fire_due is later_world.hermes.base.fire_due  # type: ignore[attr-defined]
    assert isinstance(world.hermes, Host)


@pytest.mark.parametrize("overdue", [0, 100, 5000])
def test_incident_28_a_claim_that_was_taken_back_is_armed_again_within_a_minute(
    later_world: World, overdue: int
) -> None:
    world = later_world
    world.hermes.add("j1", -overdue, every=3600)
    due = world.hermes.next_run("j1")
    provider = world.provider()
    provider.reconcile()
    world.deliver(provider.claim_fire)
    world.runtime.sleep(5)
    world.hermes.change("j1", next_run_at=due, fire_claim=None)
    world.nas.requests.clear()
    world.runtime.sleep(55)
    assert world.writes() == ["j1"]
    world.live(60, provider.fire_due)
    assert world.hermes.runs == ["j1"]


def test_a_job_whose_claims_are_taken_back_again_and_again_is_tried_less_and_less(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.add("j1", 0, every=3600)
    due = world.hermes.next_run("j1")
    provider = world.provider()
    provider.reconcile()
    fires: list[str] = []

    def take_back(job_id: str) -> None:
        fires.append(job_id)
        assert provider.claim_fire(job_id)
        world.hermes.change(job_id, next_run_at=due, fire_claim=None)

    world.live(3 * 3600, take_back)
    assert 12 <= len(fires) <= 25


def test_incident_28_a_host_that_tells_of_it_has_it_armed_at_once(later_world: World) -> None:
    world = later_world
    world.hermes.add("j1", 0, every=3600)
    due = world.hermes.next_run("j1")
    provider = world.provider()
    provider.reconcile()
    claimed: list[object] = []
    world.deliver(lambda job_id: claimed.append(provider.claim_fire(job_id)))
    world.runtime.sleep(5)
    world.hermes.change("j1", next_run_at=due, fire_claim=None)
    provider.rearm_aborted_claim(claimed[0])
    world.live(1, provider.fire_due)
    assert world.hermes.runs == ["j1"]


def test_incident_30_a_job_that_the_host_refuses_for_hours_wakes_it_less_and_less(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 0, every=3600)
    provider = world.provider()
    provider.reconcile()
    fires: list[float] = []

    def refuse(job_id: str) -> None:
        provider.process.request_reconcile()  # its token is verified, and nothing else happens
        assert job_id == "j1", "the watchdog fires though nothing failed"
        fires.append(world.runtime.time())

    world.live(6 * 3600, refuse)
    assert 20 <= len(fires) <= 29
    assert len(world.nas.requests) <= 5 * len(fires)
    waits = [later - earlier for earlier, later in itertools.pairwise(fires)]
    assert max(waits) <= 960
    world.live(1000, provider.fire_due)
    assert world.hermes.runs[0] == "j1"


def test_the_watchdogs_fire_is_not_accepted_before_the_next_watchdog_is_armed(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.add("j1", 3600)
    provider = world.provider()
    world.nas.fail_next(503, times=1000)
    with pytest.raises(NotArmedError, match="watchdog"):
        provider.claim_fire(provider.process.reconciler().watchdog_id)
    world.nas.faults.clear()
    world.runtime.sleep(60)
    assert provider.claim_fire(provider.process.reconciler().watchdog_id) is None
    assert "j1" in world.armed()


def test_that_of_another_profile_s_watchdog_is_not_either(
    later_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, other = later_world, HOME / "profiles" / "other"

    @contextlib.contextmanager
    def working_on(home: Path) -> Iterator[None]:
        before, world.hermes.at = world.hermes.at, home
        yield
        world.hermes.at = before

    monkeypatch.setattr(world.hermes, "working_on", working_on)
    world.hermes.stores[other] = {}
    world.hermes.add("theirs", 3600, home=other)
    provider = world.provider()
    theirs = provider.process.reconciler(world.hermes.settings(other)).watchdog_id
    assert provider.claim_fire(theirs) is None
    assert "theirs" in world.armed()


def test_a_job_is_looked_for_in_every_home_that_uses_chronos(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = HOME / "profiles" / "other"
    world.hermes.stores[other] = {}
    world.hermes.add("mine", 60)
    world.hermes.add("theirs", 60, home=other)
    home_of = partial(profiles.home_of, world.hermes)
    assert [home_of(job_id) for job_id in ("mine", "theirs", "nobody-s")] == [HOME, other, HOME]
    monkeypatch.setattr(world.hermes, "can_switch", lambda: False)
    assert home_of("theirs") == HOME
    assert "job theirs is of /agent/home/profiles/other" in caplog.text
    world.hermes.config = {"active": False}
    monkeypatch.setattr(world.hermes, "can_switch", lambda: True)
    assert home_of("theirs") == HOME


def test_a_fire_that_cannot_be_noted_runs_its_job(
    later_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    later_world.hermes.add("j1", 0, every=60)
    provider = later_world.provider()

    def fired(job_id: str, due: float, at: float) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(provider.process.reconciler().serving_status, "fired", fired)
    assert provider.claim_fire("j1") is not None
    assert "the fire of job j1 is not noted: no such thing" in caplog.text


def watchdog_of(provider: Any) -> str:
    return str(provider.process.reconciler().watchdog_id)


def test_the_watchdogs_fire_is_not_accepted_while_nas_refuses_the_next_one(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    provider = world.provider()
    world.nas.fail_next(400, operation="provision", times=1000)  # a gateway in front of NAS
    with pytest.raises(NotArmedError, match="the next watchdog is not armed: provision"):
        provider.claim_fire(watchdog_of(provider))
    world.nas.faults.clear()
    assert provider.claim_fire(watchdog_of(provider)) is None
    assert {"j1", watchdog_of(provider)} == set(world.armed())


def test_another_job_that_nas_refuses_does_not_keep_the_watchdogs_fire_coming(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.config = {"watchdog": True}
    provider = world.provider()
    world.hermes.add("j1", 3600)
    provider.reconcile()
    world.hermes.add("bad", 7200)
    world.nas.fail_next(400, operation="provision")
    assert provider.claim_fire(watchdog_of(provider)) is None
    assert provider.process.reconciler().status.failed_jobs == ("bad",)


def test_the_watchdogs_fire_is_not_accepted_while_nas_does_not_know_the_agent(
    later_world: World,
) -> None:
    world = later_world
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 3600)
    provider = world.provider()
    world.nas.fail_next(403, times=1000)
    provider.reconcile()
    with pytest.raises(NotArmedError, match="the next watchdog is not armed: list_armed"):
        provider.claim_fire(watchdog_of(provider))
    assert len(world.nas.requests) == 2
    world.nas.faults.clear()
    assert provider.claim_fire(watchdog_of(provider)) is None
    assert {"j1", watchdog_of(provider)} == set(world.armed())


UNREADABLE = (
    Store(problem="jobs.json is not JSON"),
    Store(problem="jobs.json cannot be read: Too many open files"),
    Store(problem="1 of 1 jobs in the store cannot be read"),
)


@pytest.mark.parametrize("store", UNREADABLE, ids=lambda store: store.problem)
@pytest.mark.parametrize("whose", ["its own", "another profile's"])
def test_a_fire_is_not_accepted_while_the_store_that_may_have_its_job_cannot_be_read(
    later_world: World, store: Store, whose: str
) -> None:
    world, other = later_world, HOME / "profiles" / "other"
    world.hermes.stores[other] = {}
    world.hermes.add("j1", 0, home=HOME if whose == "its own" else other)
    world.hermes.add("elsewhere", 0, home=other if whose == "its own" else HOME)
    provider = world.provider()
    world.hermes.broken[HOME if whose == "its own" else other] = store
    with pytest.raises(profiles.StoreError, match=re.escape(store.problem)):
        provider.claim_fire("j1")
    if whose == "another profile's":
        assert provider.claim_fire("elsewhere")  # what is there runs
        assert provider.claim_fire("elsewhere") is None
    world.hermes.broken.clear()
    world.hermes.at = HOME if whose == "its own" else other
    assert provider.claim_fire("j1")


def test_a_fire_for_a_job_that_is_gone_is_accepted_where_every_store_can_be_read(
    later_world: World,
) -> None:
    world, other = later_world, HOME / "profiles" / "other"
    world.hermes.stores[other] = {}
    world.hermes.add("j1", 0)
    provider = world.provider()
    assert provider.claim_fire("gone") is None
    world.hermes.broken[other] = Store(problem="jobs.json is not there", is_missing=True)
    assert provider.claim_fire("gone") is None  # a profile that never had a job
    world.hermes.broken[other] = Store(problem="jobs.json is not JSON")
    world.hermes.remove("j1")
    with pytest.raises(profiles.StoreError):
        provider.claim_fire("j1")


def test_a_store_of_a_profile_without_chronos_keeps_no_fire_from_being_accepted(
    later_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, other = later_world, HOME / "profiles" / "other"
    world.hermes.stores[other] = {}
    world.hermes.broken[other] = Store(problem="jobs.json is not JSON")
    settings = world.hermes.settings

    def of(home: Path | None = None) -> ChronosConfig:
        return settings(home)._replace(active=home != other)

    monkeypatch.setattr(world.hermes, "settings", of)
    assert world.provider().claim_fire("gone") is None


def test_a_paused_job_needs_no_other_store(later_world: World) -> None:
    world, other = later_world, HOME / "profiles" / "other"
    world.hermes.stores[other] = {}
    world.hermes.broken[other] = Store(problem="jobs.json is not JSON")
    world.hermes.add("j1", 0, state="paused")
    assert world.provider().claim_fire("j1") is None


def test_a_host_that_answers_first_runs_no_job_of_a_store_that_cannot_be_read(
    world: World,
) -> None:
    world.hermes.add("j1", 0)
    provider = world.provider()
    world.hermes.broken[HOME] = Store(problem="jobs.json is not JSON")
    assert not provider.fire_due("j1")
    world.hermes.broken.clear()
    assert provider.fire_due("j1")
