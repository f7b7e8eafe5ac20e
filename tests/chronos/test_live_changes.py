"""Settings that change while a process lives: every setting, with every event that calls NAS."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chronos_plugin.plugin_runtime import PluginRuntime
from chronos_plugin.scheduler import NotArmedError
from tests.chronos.conftest import World
from tests.support.fake_hermes import CALLBACK, HOME

Event = Callable[[World, PluginRuntime, Any], Iterator[None]]
MOVED = "https://other.test"
OLD_TOKEN, NEW_TOKEN = "agent-token", "other-token"


def a_watched_change(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    yield
    world.hermes.on_change = lambda home: world.runtime.touch(home / "cron" / "jobs.json")
    world.hermes.add("new", 6000)


def a_pending_look(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    process.reconciler().look_again(60)
    yield
    world.hermes.add("new", 6000)


def a_retry(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    world.nas.fail_next(429, headers={"Retry-After": "60"})
    provider.on_jobs_changed()
    world.runtime.sleep(0.1)
    yield
    world.hermes.add("new", 6000)


def a_run_that_ends(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    world.hermes.add("new", 0, every=6000)
    world.hermes.on_run = lambda job_id: world.runtime.sleep(30)
    world.runtime.spawn(lambda: provider.fire_due("new"), "fire")
    world.runtime.sleep(10)
    yield


def a_fire(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    world.hermes.add("new", 0, every=6000)
    yield
    assert provider.fire_due("new")


def a_watchdog_s_fire(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    yield
    world.hermes.add("new", 6000)
    provider.fire_due(process.reconciler().watchdog_id)


def a_verified_fire(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    yield
    world.hermes.add("new", 6000)
    process.request_reconcile()


def a_claim_taken_back(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    world.hermes.add("new", 0)
    claimed = provider.claim_fire("new")
    yield
    world.hermes.change("new", fire_claim=None)
    provider.rearm_aborted_claim(claimed)


def a_new_job(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    yield
    world.hermes.add("new", 6000)
    with contextlib.suppress(NotArmedError):
        provider.register_job({"id": "new"})


def a_change(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
    yield
    world.hermes.add("new", 6000)
    provider.on_jobs_changed()


EVENTS = [
    a_watched_change,
    a_pending_look,
    a_retry,
    a_run_that_ends,
    a_fire,
    a_watchdog_s_fire,
    a_verified_fire,
    a_claim_taken_back,
    a_new_job,
    a_change,
]


def play(world: World, event: Event, **config: object) -> None:
    """Have a gateway live through an event, before or during which its settings change."""
    process = world.boot()
    provider = world.provider(process)
    provider.start(threading.Event())
    world.runtime.sleep(1)
    steps = event(world, process, provider)
    next(steps)
    world.nas.requests.clear()
    world.hermes.config = {**world.hermes.config, **config}
    next(steps, None)
    world.runtime.sleep(600)


def sent(world: World) -> set[tuple[str, str]]:
    """The hosts that were called, and the tokens they were shown."""
    return {
        (request.url.host, request.headers["Authorization"].removeprefix("Bearer "))
        for request in world.nas.requests
    }


@pytest.mark.parametrize("event", EVENTS)
def test_another_portal_url_is_called_with_its_login_and_the_old_one_no_more(
    later_world: World, event: Event
) -> None:
    world = later_world
    world.hermes.add("old", 6000)
    world.nas.tokens[NEW_TOKEN] = "agent"
    change = world.hermes.settings

    def settings(home: Any = None) -> Any:  # whoever moves an agent logs it in there, too
        moved = "portal_url" in world.hermes.config
        world.hermes.token = NEW_TOKEN if moved else OLD_TOKEN
        return change(home)

    world.hermes.settings = settings  # type: ignore[method-assign]
    play(world, event, portal_url=MOVED)
    assert sent(world) == {("other.test", NEW_TOKEN)}
    assert {"old", "new"} <= set(world.armed())
    assert world.hermes.problems[HOME] == ""
    assert world.hermes.tickers == []


@pytest.mark.parametrize("event", EVENTS)
def test_without_the_provider_nothing_is_sent(later_world: World, event: Event) -> None:
    later_world.hermes.add("old", 6000)
    play(later_world, event, active=False)
    assert later_world.nas.requests == []
    assert later_world.hermes.problems[HOME] == ""


@pytest.mark.parametrize("event", EVENTS)
def test_a_provider_that_is_put_back_goes_on(later_world: World, event: Event) -> None:
    later_world.hermes.add("old", 6000)

    def there_again(world: World, process: PluginRuntime, provider: Any) -> Iterator[None]:
        yield from event(world, process, provider)
        world.runtime.sleep(300)
        world.hermes.config = {}
        process.request_reconcile()

    play(later_world, there_again, active=False)
    assert {"old", "new"} <= set(later_world.armed())


@pytest.mark.parametrize("event", EVENTS)
def test_nothing_is_armed_for_a_callback_url_that_has_changed(
    later_world: World, event: Event
) -> None:
    play(later_world, event, callback_url="https://moved.example.com")
    assert "new" in later_world.armed()
    called = {body["agent_callback_url"] for body in later_world.nas.sent("provision")}
    assert called == {"https://moved.example.com"} != {CALLBACK}


@pytest.mark.parametrize("event", EVENTS)
def test_without_leave_no_token_goes_over_http(later_world: World, event: Event) -> None:
    later_world.hermes.config = {"portal_url": "http://nas.test", "allow_http": True}
    raised = (
        pytest.raises(NotArmedError) if event is a_watchdog_s_fire else contextlib.nullcontext()
    )
    with raised:  # NAS keeps the watchdog's, until the settings are right again
        play(later_world, event, allow_http=False)
    assert later_world.nas.requests == []


@pytest.mark.parametrize("watchdog", [True, False])
def test_a_watchdog_is_switched_by_whatever_comes_next(world: World, watchdog: bool) -> None:
    world.hermes.config = {"watchdog": not watchdog}
    play(world, a_pending_look, watchdog=watchdog)
    assert len(world.armed()) == (3 if watchdog else 1)


def test_a_call_under_way_asks_for_no_token_of_another_portal_url(world: World) -> None:
    world.nas.tokens[NEW_TOKEN] = "agent"
    process = world.boot()
    provider = world.provider(process)
    provider.start(threading.Event())
    world.nas.fail_next(401, delay=5, operation="list")
    process.reconciler().request()
    world.runtime.sleep(1)
    world.nas.requests.clear()
    calls = world.hermes.token_calls
    world.hermes.token, world.hermes.config = NEW_TOKEN, {"portal_url": MOVED}
    world.runtime.sleep(3600)
    assert sent(world) == {("other.test", NEW_TOKEN)}
    assert world.hermes.token_calls == calls + 1
    assert world.hermes.problems[HOME] == ""


def test_a_call_under_way_asks_for_no_token_without_the_provider(world: World) -> None:
    process = world.boot()
    world.provider(process).start(threading.Event())
    world.nas.fail_next(401, delay=5, operation="list")
    process.reconciler().request()
    world.runtime.sleep(1)
    calls, world.hermes.config = world.hermes.token_calls, {"active": False}
    world.runtime.sleep(3600)
    assert world.hermes.token_calls == calls
    assert world.hermes.problems[HOME] == ""


def test_a_call_under_way_leaves_the_problem_of_the_next_nas_alone(world: World) -> None:
    process = world.boot()
    provider = world.provider(process)
    provider.start(threading.Event())
    world.nas.fail_next(400, delay=5, operation="list")
    process.reconciler().request()
    world.runtime.sleep(1)
    world.hermes.config = {"portal_url": MOVED}
    provider.reconcile()
    world.runtime.sleep(10)
    assert world.hermes.problems[HOME] == ""


def test_a_token_that_is_another_portal_url_s_by_the_time_it_is_there_is_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler = world.boot().reconciler()

    def slow(home: Any, renew: bool) -> str:
        world.hermes.config = {"portal_url": MOVED}
        return NEW_TOKEN

    monkeypatch.setattr(world.hermes, "access_token", slow)
    assert not reconciler.wait(reconciler.request(), 1)
    assert world.nas.requests == []
