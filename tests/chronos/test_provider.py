"""What hermes calls on every version: available, start, reconcile, changed, arm."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

import chronos_plugin
from chronos_plugin import scheduler
from chronos_plugin.plugin_runtime import PLUGIN
from chronos_plugin.scheduler import NotArmedError, new_provider
from tests.chronos.conftest import World
from tests.support.fake_hermes import CALLBACK, HOME

OTHER = Path("/agent/home/profiles/other")


@pytest.mark.parametrize(
    ("key", "name", "value"),
    [
        ("portal_url", "portal_url", ""),
        ("callback_url", "callback_url", ""),
        ("callback_url", "callback_url", "agent-7.example.com"),  # every arm would be refused
        ("audience", "expected_audience", ""),  # and here every fire
        ("jwks_url", "nas_jwks_url", ""),
    ],
)
def test_unavailable_without_configuration(
    world: World, key: str, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.config = {key: value}
    assert not world.provider().is_available()
    assert caplog.messages[-1] == f"not set or not usable: cron.chronos.{name}"


def test_nothing_is_said_of_what_nobody_uses(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.config = {"active": False, "portal_url": ""}
    assert not world.provider().is_available()
    assert caplog.messages == []


def test_unavailable_without_a_login(world: World) -> None:
    world.hermes.logged_in = False
    assert not world.provider().is_available()


def test_available_with_both_and_asks_nobody(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.provider().is_available()
    assert caplog.messages == []
    assert world.nas.requests == []
    assert world.hermes.token_calls == 0
    assert world.runtime.spawned == []


def test_the_provider_of_this_process_stands_on_its_hermes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PLUGIN, "host", world.hermes)
    provider: Any = new_provider()
    assert provider.process is PLUGIN
    assert isinstance(provider, world.hermes.base)


def test_its_name_is_what_the_configuration_says(world: World) -> None:
    assert world.provider().name == "chronos"


def test_arm_sends_the_contract_s_payload(world: World) -> None:
    at = "2026-06-18T12:34:56.789+02:00"
    job = {"id": "j1", "next_run_at": at, "enabled": True, "state": "scheduled"}
    world.provider()._arm_one_shot(job)
    assert world.nas.sent("provision") == [
        {"job_id": "j1", "fire_at": at, "agent_callback_url": CALLBACK, "dedup_key": f"j1:{at}"}
    ]


@pytest.mark.parametrize(
    "what", [{"next_run_at": None}, {"enabled": False}, {"state": "paused"}, {"state": "completed"}]
)
def test_arm_does_nothing_for_a_job_that_is_not_to_fire(
    world: World, what: dict[str, object]
) -> None:
    job = {"id": "j1", "next_run_at": "2026-06-18T12:34:56Z", "enabled": True, "state": "scheduled"}
    world.provider()._arm_one_shot({**job, **what})
    assert world.nas.requests == []


def test_reconcile_arms_every_job_at_its_own_time(world: World) -> None:
    world.hermes.add("j1", 60, every=60)
    world.hermes.add("j2", 7200)
    world.provider().reconcile()
    assert world.armed() == {"j1": world.hermes.next_run("j1"), "j2": world.hermes.next_run("j2")}


def test_reconcile_cancels_an_orphan(world: World) -> None:
    world.nas.arm("orphan", "2026-01-02T00:00:00Z")
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    assert set(world.armed()) == {"j1"}


def test_reconcile_cancels_paused_and_disabled_jobs(world: World) -> None:
    for job_id in ("paused", "disabled", "kept"):
        world.hermes.add(job_id, 60)
    provider = world.provider()
    provider.reconcile()
    world.hermes.change("paused", state="paused")
    world.hermes.change("disabled", enabled=False)
    provider.reconcile()
    assert set(world.armed()) == {"kept"}


def test_a_second_reconcile_sends_no_write(world: World) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.add("j1", 60)
    world.hermes.add("late", -3600)
    world.provider().reconcile()
    before = world.writes()
    world.runtime.sleep(1)
    world.provider().reconcile()
    assert world.writes() == before


def test_start_converges_and_returns(world: World) -> None:
    world.hermes.add("j1", 60)
    world.provider().start(threading.Event(), adapters=object(), loop=object(), interval=60)
    assert set(world.armed()) == {"j1"}
    assert world.hermes.recovered == 1
    assert world.hermes.tickers == []


def test_a_change_moves_the_arm_before_the_prompt_returns(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    provider = world.provider()
    provider.on_jobs_changed()
    world.hermes.change("j1", next_run_at="2026-01-01T09:00:00+00:00")
    provider.on_jobs_changed()
    assert world.armed() == {"j1": "2026-01-01T09:00:00+00:00"}
    assert capsys.readouterr().err == ""


def test_a_change_in_a_server_does_not_wait(world: World) -> None:
    process = world.boot()
    provider = world.provider(process)
    provider.start(threading.Event())
    world.hermes.add("j1", 3600)
    world.nas.fail_next(delay=5.0)
    before = world.runtime.time()
    provider.on_jobs_changed()
    assert world.runtime.time() == before
    world.runtime.sleep(10)
    assert set(world.armed()) == {"j1"}


def test_a_prompt_is_held_up_at_most_10_seconds_and_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        world.hermes.add(f"j{number}", 60)
    world.nas.fail_next(delay=1000.0, times=100)
    before = world.runtime.time()
    world.provider().on_jobs_changed()
    assert world.runtime.time() - before <= 10
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("chronos: 3 jobs are not armed yet: list_armed: no answer of ")
    assert "chronos reconcile" in said[1]
    assert all(len(line) <= 80 for line in said)


def test_a_prompt_is_told_nothing_wider_than_a_terminal(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.nas.fail_next(400, operation="provision", times=100)
    for length in range(1, 21):  # for each of them the line is cut after another word
        job_id = "j" * length
        world.hermes.add(job_id, 60)
        world.provider().on_jobs_changed()
        world.hermes.remove(job_id)
        said = capsys.readouterr().err.splitlines()
        assert said[0].startswith(f"chronos: {job_id} is not armed yet: ")
        assert all(len(line) <= 80 for line in said)


def test_a_prompt_names_two_jobs_and_counts_more(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        world.hermes.add(f"j{number}", 60)
    world.nas.fail_next(400, operation="provision", times=100)
    world.provider().on_jobs_changed()
    assert capsys.readouterr().err.startswith("chronos: j1, j2 ")
    world.hermes.add("j3", 60)
    world.provider().on_jobs_changed()
    assert capsys.readouterr().err.startswith("chronos: 3 jobs ")


def test_a_prompt_names_the_job_that_could_not_be_armed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.nas.fail_next(503, operation="provision", times=100)
    world.provider().on_jobs_changed()
    assert "j1" in capsys.readouterr().err


def test_a_prompt_names_the_job_that_nas_refuses(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.nas.fail_next(400, operation="provision")
    world.provider().on_jobs_changed()
    assert "chronos: j1 is not armed yet: provision" in capsys.readouterr().err


def test_a_prompt_says_when_only_the_watchdog_is_missing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    world.hermes.config = {"watchdog": True}
    world.nas.fail_next(503, operation="provision", times=100)
    world.provider().on_jobs_changed()
    assert "chronos: the watchdog is not armed yet" in capsys.readouterr().err


def test_a_server_is_more_patient_than_a_prompt(world: World) -> None:
    world.hermes.add("j1", 3600)
    world.nas.fail_next(delay=10.0)
    world.provider().start(threading.Event())
    assert [request.method for request in world.nas.requests] == ["GET", "POST"]


def test_registering_a_job_raises_when_it_is_not_armed(later_world: World) -> None:
    world = later_world
    world.hermes.add("j1", 60)
    world.nas.fail_next(503, times=1000)
    before = world.runtime.time()
    with pytest.raises(NotArmedError, match=r"j1 is saved but not armed.*503.*chronos reconcile"):
        world.provider().register_job({"id": "j1"})
    assert world.runtime.time() - before <= 10


@pytest.mark.parametrize("status", [400, 403])
def test_registering_a_job_raises_when_nas_refuses_it(later_world: World, status: int) -> None:
    later_world.hermes.add("j1", 60)
    later_world.nas.fail_next(status, operation="provision")
    with pytest.raises(NotArmedError, match="j1 is saved but not armed"):
        later_world.provider().register_job({"id": "j1"})


def test_registering_a_job_arms_it(later_world: World) -> None:
    later_world.hermes.add("j1", 60)
    later_world.provider().register_job({"id": "j1"})
    assert set(later_world.armed()) == {"j1"}


def test_a_fire_time_that_is_no_instant_is_left_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.nas.arm("bad", "2026-01-02T00:00:00Z")
    world.hermes.add("bad", 60, next_run_at="tomorrow")
    world.hermes.add("good", 60)
    world.provider().reconcile()
    assert world.armed() == {"bad": "2026-01-02T00:00:00Z", "good": world.hermes.next_run("good")}
    assert "bad" in caplog.text


def test_the_token_is_asked_for_once(world: World) -> None:
    process = world.boot()
    for number in range(5):
        world.hermes.add(f"j{number}", 60)
        world.provider(process).reconcile()
    assert world.hermes.token_calls == 1


def test_a_refused_token_is_renewed_once(world: World) -> None:
    world.hermes.add("j1", 60)
    world.nas.tokens["renewed"] = world.nas.tokens.pop("agent-token")
    world.hermes.renewed = "renewed"
    world.provider().reconcile()
    assert world.hermes.renewals == 1
    assert [request.method for request in world.nas.requests] == ["GET", "GET", "POST"]
    assert set(world.armed()) == {"j1"}


def test_the_same_instant_in_another_spelling_costs_no_write(world: World) -> None:
    world.hermes.add("j1", 60, next_run_at="2026-01-01T02:00:00.123456+02:00")
    world.provider().reconcile()
    assert [request.method for request in world.nas.requests] == ["GET", "POST"]
    world.provider().reconcile()
    assert [request.method for request in world.nas.requests] == ["GET", "POST", "GET"]


def test_an_unreadable_store_cancels_nothing(world: World) -> None:
    world.nas.arm("j1", "2026-01-02T00:00:00Z")
    del world.hermes.stores[HOME]
    process = world.boot()
    reconciler = process.reconciler()
    assert not reconciler.wait(reconciler.request(), 30)
    assert set(world.armed()) == {"j1"}


def test_all_traffic_is_ours(world: World) -> None:
    world.hermes.add("j1", 60)
    world.provider().reconcile()
    agents = {request.headers["user-agent"] for request in world.nas.requests}
    assert all(agent.startswith("nas-sdk/") and agent.endswith(" chronos") for agent in agents)
    assert isinstance(world.nas.requests[0], httpx.Request)


def test_the_class_is_named_where_hermes_has_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world.provider()
    monkeypatch.setattr(scheduler, "new_provider", lambda: made)
    assert chronos_plugin.ChronosCronScheduler is type(made)
    assert type(made).__name__ == "ChronosCronScheduler"
    assert not hasattr(chronos_plugin, "AnotherCronScheduler")


def test_where_one_gateway_serves_all_profiles_what_is_armed_is_withdrawn(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.hermes.config = {"watchdog": True}
    world.hermes.stores[OTHER] = {}
    world.hermes.add("j1", 3600)
    world.hermes.add("theirs", 3600, home=OTHER)
    provider = world.provider()
    provider.process.request_reconcile()
    world.runtime.sleep(5)
    assert {"j1", "theirs"} <= set(world.armed())
    world.hermes.told_sidelined = "one gateway serves every profile"
    assert not provider.is_available()
    assert not provider.is_available()
    world.runtime.sleep(5)
    assert world.armed() == {}
    assert caplog.text.count("one gateway serves every profile") == 1


def test_what_is_not_armed_is_kept_by_hermes_until_it_is(world: World) -> None:
    world.hermes.add("j1", 3600)
    provider = world.provider()
    provider.process.serving = True
    world.nas.fail_next(503, times=1000)
    provider.on_jobs_changed()
    world.runtime.sleep(60)
    (kept,) = world.hermes.problems.values()
    assert kept.startswith("j1: not armed as wanted: ")
    world.nas.faults.clear()
    world.runtime.sleep(180)
    assert list(world.hermes.problems.values()) == [""]


def test_a_prompt_leaves_word_where_its_reconcile_has_not_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(home: Path, renew: bool) -> str:
        world.runtime.sleep(30)
        return "agent-token"

    monkeypatch.setattr(world.hermes, "access_token", slow)
    world.hermes.add("j1", 3600)
    world.provider().on_jobs_changed()
    (kept,) = world.hermes.problems.values()
    assert kept.startswith("jobs: not armed as wanted: ")


@pytest.mark.parametrize(("status", "operation"), [(401, None), (503, "list")])
def test_an_error_about_no_job_in_particular_is_kept_by_hermes_too(
    world: World, status: int, operation: str | None
) -> None:
    world.hermes.add("j1", 3600)
    provider = world.provider()
    provider.process.serving = True
    world.nas.fail_next(status, operation=operation, times=1000)
    provider.on_jobs_changed()
    world.runtime.sleep(60)
    (kept,) = world.hermes.problems.values()
    assert f"NAS answered {status}" in kept
    assert not kept.endswith((" ", ";"))


def test_what_a_person_has_to_do_about_it_is_kept_by_hermes_too(world: World) -> None:
    world.hermes.add("j1", 3600)
    world.nas.fail_next(403, times=1000)
    world.provider().on_jobs_changed()
    (kept,) = world.hermes.problems.values()
    assert kept.endswith("; restore the hosted credential in the portal; a new login does not help")


@pytest.mark.parametrize(
    ("command", "is_told"), [("list", True), ("ls", True), ("status", True), ("add", False)]
)
def test_whoever_looks_at_the_jobs_is_told_what_is_wrong(
    world: World,
    command: str,
    is_told: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.hermes.problems[HOME] = "chronos: nothing is armed"
    monkeypatch.setattr("sys.argv", ["hermes", "cron", command])
    world.provider().is_available()
    assert capsys.readouterr().err == ("chronos: nothing is armed\n" if is_told else "")
