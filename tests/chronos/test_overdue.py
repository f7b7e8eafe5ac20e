"""A fire that NAS takes to be accepted, of a job that never ran."""

import contextlib

import httpx
import pytest

from nas_sdk.testing.request_handler import operation_of
from tests.chronos.conftest import World


def test_an_overdue_job_is_looked_at_until_nas_arms_it_again(world: World) -> None:
    world.hermes.add("j1", 60, every=3600)
    world.provider().reconcile()
    world.runtime.sleep(60)
    assert world.deliver(lambda job_id: None) == ["j1"]  # accepted, and the process dies
    world.provider().reconcile()
    assert world.armed() == {}  # NAS remembers the key, and arms nothing under it
    world.runtime.sleep(120)  # NAS remembers it for ten minutes, and nobody waits for that
    assert set(world.armed()) == {"j1"}


def test_a_slow_clock_does_not_hide_that_nas_armed_nothing(world: World) -> None:
    world.hermes.add("j1", 20, every=3600)  # by the agent's clock; by NAS's it was due just now
    world.provider().reconcile()
    world.nas.forget()  # it takes the fire to be accepted
    world.runtime.sleep(70)
    assert set(world.armed()) == {"j1"}


def test_a_job_that_is_not_overdue_is_not_looked_at_again(world: World) -> None:
    world.hermes.add("j1", 3600, every=3600)
    world.provider().reconcile()
    asked = len(world.nas.requests)
    world.runtime.sleep(600)
    assert len(world.nas.requests) == asked


def test_a_converge_follows_a_fire_that_was_held_and_then_refused(later_world: World) -> None:
    now = later_world.hermes.iso(later_world.runtime.time())
    later_world.hermes.add("j1", 10, every=3600, fire_claim={"at": now})  # and its process died
    assert later_world.provider().claim_fire("j1") is None
    asked = len(later_world.nas.requests)
    later_world.runtime.sleep(10)
    assert len(later_world.nas.requests) > asked


def test_a_job_in_other_hands_is_guarded_even_without_a_watchdog(world: World) -> None:
    now = world.hermes.iso(world.runtime.time())
    world.hermes.add("j1", -1, every=3600, fire_claim={"at": now})
    world.hermes.add("j2", 3600, every=3600)
    world.provider().reconcile()
    guards = [job_id for job_id in world.armed() if job_id.startswith("watchdog-")]
    assert len(guards) == 1
    assert set(world.armed()) == {"j2", *guards}
    world.runtime.sleep(400)  # the claim is over, and the job is armed
    assert set(world.armed()) == {"j1", "j2"}


@pytest.mark.parametrize("raises", [False, True])
def test_a_claim_that_hermes_refuses_is_looked_after_though_a_start_looked_before(
    later_world: World, monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    later_world.hermes.add("j1", -1000, every=3600)
    later_world.provider().reconcile()

    def refuse(job_id: str) -> None:
        if raises:
            raise OSError(job_id)

    monkeypatch.setattr(later_world.hermes, "claim", refuse)
    woken = later_world.provider()
    with contextlib.suppress(OSError):
        woken.claim_fire("j1")
    woken.reconcile()  # its start, while NAS has not noted yet that the fire was accepted
    later_world.nas.forget()
    later_world.runtime.sleep(3)  # the machine may stop soon after
    assert set(later_world.armed_jobs()) == {"j1"}


def test_a_list_that_is_as_of_before_nas_noted_the_refusal_does_not_do_for_a_look(
    later_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it was on its way: a machine that starts is slow."""
    later_world.hermes.add("j1", -1000, every=3600)
    later_world.provider().reconcile()
    answer = later_world.nas._handler.answer

    def late(request: httpx.Request) -> httpx.Response:
        answered = answer(request)
        if operation_of(request) == "list":
            later_world.nas.forget()  # NAS notes the answer to its fire
            later_world.runtime.sleep(1.5)
        return answered

    monkeypatch.setattr(later_world.nas._handler, "answer", late)
    monkeypatch.setattr(later_world.hermes, "claim", lambda job_id: None)
    woken = later_world.provider()
    woken.claim_fire("j1")
    woken.reconcile()
    monkeypatch.setattr(later_world.nas._handler, "answer", answer)
    later_world.runtime.sleep(5)
    assert set(later_world.armed_jobs()) == {"j1"}
