"""Our protections, and how to take each of them away.

A removal is a patch of the running code, made for as long as the process lives: the product
has no switch for any of it. `why` says what the protection is for.

Not here is that a fire waits a while until the next one is armed: without it a machine that
stops within seconds sleeps until its watchdog wakes it, so that a run is late but not lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from chronos_plugin import host, host_base, plugin_runtime, scheduler
from nas_sdk.reconcile import OneShot, agent, apply, desired, fire_gate, planning, reconciler

Patch = Callable[[], None]


@attrs.frozen
class Removal:
    """One protection and how it is removed."""

    why: str
    remove: Patch


def _put(owner: Any, name: str, value: Any) -> None:
    """Patch what is there; a protection that has another name now is not removed unnoticed."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name} to remove")
    setattr(owner, name, value)


def _no_watchdog() -> None:
    _put(desired, "watchdog", lambda *_, **__: None)


def _no_spare_watchdog() -> None:
    _put(host.Host, "answers_first", lambda self: False)


def _no_heal() -> None:
    def request_reconcile(self: plugin_runtime.PluginRuntime) -> None:
        self.serving = True

    _put(plugin_runtime.PluginRuntime, "request_reconcile", request_reconcile)


def _no_converge_after_lost_claim() -> None:
    """Neither the fire itself nor its verified token asks for one; a run that ends still does."""
    _no_heal()
    usual = scheduler._Provider._after_fire

    def after_fire(self: Any, job_id: str, ran: bool) -> None:
        if ran:
            usual(self, job_id, ran)

    def await_due(self: Any, job_id: str, longest: float) -> bool:
        on_wait, self._on_wait = self._on_wait, lambda: None
        try:
            return bool(_AWAIT_DUE(self, job_id, longest))
        finally:
            self._on_wait = on_wait

    _put(scheduler._Provider, "_after_fire", after_fire)
    _put(fire_gate.FireGate, "await_due", await_due)


_AWAIT_DUE: Final = fire_gate.FireGate.await_due


def _believe_memory() -> None:
    """After its first list, a process believes what it has armed and cancelled itself."""
    usual_list, usual_send, usual_arm = apply._list, apply._send, reconciler.Reconciler.arm

    def known(client: Any) -> Any:
        return getattr(client._http, "armed", None)

    def listed(client: Any) -> Any:
        armed = known(client)
        if armed is not None:
            return list(armed.values()), None
        items, error = usual_list(client)
        if items is not None:
            client._http.armed = {one.job_id: OneShot(one.job_id, one.fire_at) for one in items}
        return items, error

    def sending(items: Any, send: Any, *rest: Any, **options: Any) -> Any:
        outcomes: Any = usual_send(items, send, *rest, **options)
        armed = known(send.__self__)
        done = [] if armed is None else [outcome for outcome in outcomes if outcome.ok]
        for outcome in done:
            if outcome.result:
                armed[outcome.job_id] = OneShot(outcome.job_id, outcome.request.fire_at)
            else:
                armed.pop(outcome.job_id, None)
        return outcomes

    def arm(self: Any, job_id: str, fire_at: str) -> None:
        usual_arm(self, job_id, fire_at)
        armed = known(self.client())
        if armed is not None:
            armed[job_id] = OneShot(job_id, fire_at)

    _put(apply, "_list", listed)
    _put(apply, "_send", sending)
    _put(reconciler.Reconciler, "arm", arm)


def _run_early_fires() -> None:
    def await_due(self: Any, job_id: str, longest: float) -> bool:
        self._on_wait()
        return job_id in self._times()

    _put(fire_gate.FireGate, "await_due", await_due)


def _no_hands() -> None:
    @contextlib.contextmanager
    def in_progress(self: Any, job_id: str, occurrence: str | None = None) -> Iterator[bool]:
        yield True

    _put(fire_gate.FireGate, "in_progress", in_progress)
    _put(plugin_runtime.HomeReconciler, "claimed_elsewhere", lambda self, job_ids: frozenset())


def _no_retries() -> None:
    _put(reconciler.Reconciler, "_retry", lambda self, errors: None)


def _cancel_what_others_want() -> None:
    _put(plugin_runtime.HomeReconciler, "other_profiles_jobs", lambda self: frozenset())


def _cancel_other_watchdogs() -> None:
    def protection(watchdog_id: str, held: Any, others: Any) -> Any:
        return lambda job_id: others is None or job_id in others or job_id in held

    _put(desired, "protection", protection)


def _no_overdue_step() -> None:
    _put(planning, "OVERDUE_STEP_MS", 10**12)


def _compare_texts() -> None:
    def is_met(one: OneShot, due: int, fire_at: str | None, now: int | None) -> bool:
        return one.fire_at == fire_at

    _put(planning, "_is_met", is_met)


def _do_not_follow() -> None:
    _put(agent.AgentReconciler, "follow", lambda self, file, stopped: None)


def _do_not_look_again() -> None:
    _put(desired, "LOOK_AGAIN_SECONDS", 10**9)


def _say_nothing_at_the_prompt() -> None:
    """Whoever changes a job is not told that it is not armed."""

    def on_jobs_changed(self: Any, job: Any = None) -> None:
        ours = self.process.reconciler()
        ticket = ours.request()
        if not self.process.serving:
            ours.wait(ticket, scheduler.PROMPT_SECONDS)

    _put(scheduler._Provider, "on_jobs_changed", on_jobs_changed)
    _put(scheduler._Provider, "register_job", on_jobs_changed)


def _take_what_is_read_for_all() -> None:
    usual = plugin_runtime.HomeReconciler.jobs
    _put(plugin_runtime.HomeReconciler, "jobs", lambda self: attrs.evolve(usual(self), problem=""))


def _believe_emptied_stores() -> None:
    for module in (desired, agent):
        _put(module, "emptied", lambda *_: "")


def _no_longer_waits() -> None:
    _put(planning, "OVERDUE_STEP_MAX_MS", planning.OVERDUE_STEP_MS)


def _no_look_after_a_claim() -> None:
    def look_again(self: Any, seconds: float) -> None:
        return None

    _put(agent.AgentReconciler, "look_again", look_again)


def _accept_the_watchdog() -> None:
    """Its fire is done with before the next one is armed."""
    usual = scheduler._TwoPhase.claim_fire

    def claim_fire(self: Any, job_id: str, **options: Any) -> Any:
        if job_id.startswith(desired.WATCHDOG):
            return None
        return usual(self, job_id, **options)

    _put(scheduler._TwoPhase, "claim_fire", claim_fire)


def _hand_on_more() -> None:
    """Keywords that only later hosts take."""
    usual = scheduler._TwoPhase.claim_fire

    def claim_fire(self: Any, job_id: str, **options: Any) -> Any:
        return usual(self, job_id, **{"force": False, "manual": False, **options})

    def taken_by(own: Any, options: Any) -> Any:
        return options

    _put(scheduler._TwoPhase, "claim_fire", claim_fire)
    _put(host_base, "taken_by", taken_by)


def _follow_again() -> None:
    usual = agent.AgentReconciler.follow

    def follow(self: Any, file: Any, stopped: Any) -> None:
        self._watcher._watching = False
        usual(self, file, stopped)

    _put(agent.AgentReconciler, "follow", follow)


def _start_without_converge() -> None:
    def start(self: Any, stop_event: Any, **options: Any) -> None:
        self.process.serve(stop_event, options)
        self.process.reconciler()

    _put(scheduler._Provider, "start", start)


REMOVALS: Final = {
    "watchdog": Removal("there is always a next wake", _no_watchdog),
    "spare watchdog": Removal("also when its fire is not survived", _no_spare_watchdog),
    "heal": Removal("any verified fire asks for a converge", _no_heal),
    "lost claim": Removal("a fire that runs nothing converges, too", _no_converge_after_lost_claim),
    "list first": Removal("what NAS lists is believed, memory is not", _believe_memory),
    "early fires": Removal("a fire before its time is a duplicate", _run_early_fires),
    "in hand": Removal("what somebody has in hand is not armed", _no_hands),
    "retries": Removal("what failed is tried again", _no_retries),
    "warnings": Removal("who changes a job is told if it is not armed", _say_nothing_at_the_prompt),
    "other profiles": Removal("what another profile wants is spared", _cancel_what_others_want),
    "other watchdogs": Removal("so are the watchdogs of others", _cancel_other_watchdogs),
    "overdue step": Removal("a lost run gets a key NAS has not seen", _no_overdue_step),
    "instants": Removal("instants are compared, not texts", _compare_texts),
    "file changes": Removal("silent changes of the store are noticed", _do_not_follow),
    "look again": Removal("a job in other hands is looked at again", _do_not_look_again),
    "missing stores": Removal(
        "what cannot be read is not taken for removed", _take_what_is_read_for_all
    ),
    "emptied stores": Removal("an empty store is looked at twice", _believe_emptied_stores),
    "longer waits": Removal("what is not run wakes the agent less and less", _no_longer_waits),
    "look after a claim": Removal("a claim may be taken back", _no_look_after_a_claim),
    "watchdog kept": Removal("its fire ends when the next is armed", _accept_the_watchdog),
    "taken keywords": Removal("a host gets the keywords it takes", _hand_on_more),
    "one follower": Removal("a server that starts again follows its store once", _follow_again),
    "converge at start": Removal("a server converges when it starts", _start_without_converge),
}
