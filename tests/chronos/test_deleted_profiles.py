"""Profiles that are deleted while a process has a reconciler for them: each, at each step."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chronos_plugin.host import Host
from chronos_plugin.plugin_runtime import HomeReconciler, PluginRuntime
from chronos_plugin.store import Store
from nas_sdk.reconcile.desired import watchdog_id
from tests.chronos.conftest import World
from tests.support.fake_hermes import HOME

PROFILES = [Path("/agent/home/profiles") / name for name in ("coder", "work")]
GONE = Store(problem="jobs.json is not there", is_missing=True)
Step = Callable[[World, HomeReconciler], Iterator[None]]


def idle(world: World, theirs: HomeReconciler) -> Iterator[None]:
    yield


def a_look_is_pending(world: World, theirs: HomeReconciler) -> Iterator[None]:
    theirs.look_again(300)
    yield


def a_reconcile_is_under_way(world: World, theirs: HomeReconciler) -> Iterator[None]:
    world.nas.fail_next(delay=5, operation="list")
    theirs.request()
    world.runtime.sleep(1)
    yield


def it_is_tried_again(world: World, theirs: HomeReconciler) -> Iterator[None]:
    world.nas.fail_next(429, headers={"Retry-After": "60"})
    theirs.request()
    world.runtime.sleep(1)
    yield


def a_job_is_overdue(world: World, theirs: HomeReconciler) -> Iterator[None]:
    world.hermes.add("late", -60, home=theirs.home, fire_claim={"at": world.hermes.iso(0)})
    theirs.request()
    world.runtime.sleep(1)
    yield


def its_store_went_first(world: World, theirs: HomeReconciler) -> Iterator[None]:
    world.hermes.broken[theirs.home] = GONE
    theirs.request()
    world.runtime.sleep(1)
    yield


def its_settings_went_first(world: World, theirs: HomeReconciler) -> Iterator[None]:
    world.hermes.config = {"active": False}
    theirs.request()
    world.runtime.sleep(1)
    world.hermes.config = {}
    yield


STEPS = [
    idle,
    a_look_is_pending,
    a_reconcile_is_under_way,
    it_is_tried_again,
    a_job_is_overdue,
    its_store_went_first,
    its_settings_went_first,
]


def serving(world: World) -> PluginRuntime:
    """A process that has armed two jobs of each profile, and their watchdogs, and watches them."""
    world.hermes.config = {"watchdog": True}
    for home in PROFILES:
        world.hermes.stores[home] = {}
    for home in (HOME, *PROFILES):
        for number in range(2):
            world.hermes.add(f"{home.name}-{number}", 7200, home=home)
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    process = world.boot()
    process.request_reconcile()
    world.runtime.sleep(30)
    assert len(world.armed_jobs()) == 6
    return process


def of(world: World, home: Path) -> set[str]:
    """What NAS has armed for a home."""
    names = (f"{home.name}-", watchdog_id(str(home)), "late")
    return {job_id for job_id in world.armed() if job_id.startswith(names)}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("gone", PROFILES, ids=lambda home: home.name)
def test_a_profile_that_is_deleted_is_given_up(later_world: World, gone: Path, step: Step) -> None:
    world, process = later_world, serving(later_world)
    kept = {home: of(world, home) for home in (HOME, *PROFILES) if home != gone}
    steps = step(world, process.reconcilers[gone])
    next(steps)
    world.hermes.delete(gone)
    world.runtime.sleep(600)
    assert of(world, gone) == set()
    assert {home: of(world, home) for home in kept} == kept
    assert set(process.reconcilers) == set(kept)
    world.nas.requests.clear()
    world.runtime.sleep(3600)
    assert world.nas.requests == []
    assert world.hermes.made_again == set()


def test_a_profile_that_is_put_back_within_a_minute_keeps_what_is_armed(world: World) -> None:
    process = serving(world)
    [gone, _] = PROFILES
    store, before = world.hermes.stores[gone], world.armed()
    world.hermes.delete(gone)
    world.runtime.sleep(30)
    world.hermes.stores[gone] = store
    world.hermes.deleted.clear()
    world.hermes.broken.clear()
    world.nas.requests.clear()
    world.runtime.sleep(600)
    assert (world.armed(), world.writes()) == (before, [])
    assert gone in process.reconcilers
    world.hermes.delete(gone)
    world.runtime.sleep(30)
    assert world.armed() == before


@pytest.mark.parametrize("status", [401, 503])
def test_what_nas_does_not_cancel_for_a_deleted_profile_is_not_tried_for_ever(
    world: World, status: int
) -> None:
    process = serving(world)
    [gone, _] = PROFILES
    world.nas.fail_next(status, times=1000)
    world.hermes.delete(gone)
    world.runtime.sleep(600)
    world.nas.requests.clear()
    world.runtime.sleep(3600)
    assert world.nas.requests == []
    assert gone not in process.reconcilers
    assert world.hermes.made_again == set()


def test_the_store_of_a_deleted_profile_is_not_watched_again(world: World) -> None:
    process = serving(world)
    [gone, _] = PROFILES
    settings = world.hermes.settings(gone)
    world.hermes.delete(gone)
    world.runtime.sleep(600)
    watches = world.runtime.spawned.count("nas-changes")
    process.reconciler(settings)
    assert world.runtime.spawned.count("nas-changes") == watches


def test_only_a_profile_whose_folder_is_gone_is_deleted(tmp_path: Path) -> None:
    root, host = tmp_path / "volume" / "hermes", Host()
    home = root / "profiles" / "work"
    home.mkdir(parents=True)
    assert not host.is_deleted(home)
    home.rmdir()
    assert host.is_deleted(home)
    shutil.rmtree(root)  # as a volume that is not mounted looks
    assert not host.is_deleted(home)
    assert not host.is_deleted(root)
