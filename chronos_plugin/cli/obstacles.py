"""Why hermes does not run what is due, though it is armed: what people are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..plugin_runtime import HomeReconciler
from ..store import Job
from . import hermes_env

START_GATEWAY = (
    "set API_SERVER_KEY in .env of the agent home, so that the gateway serves its API, and start "
    "it: `hermes gateway run`, or `hermes gateway start` for an installed one"
)
ONE_EACH = (
    "up to hermes 0.21, give each profile a gateway of its own: gateway.multiplex_profiles: false; "
    "from 0.22 on, set gateway.standalone: true in every profile but the default one, run the "
    "gateway of that one only, and `chronos reconcile` in each; or set cron.provider to the "
    "built-in"
)


class Obstacle(NamedTuple):
    """Something that keeps every job of a home from being run."""

    reason: str
    fix: str


def of_home(reconciler: HomeReconciler) -> Iterator[Obstacle]:
    """What keeps the jobs of a home from being run."""
    if hermes_env.host().is_paused():
        yield Obstacle("hermes is paused: no job runs until it is resumed", "run `hermes resume`")
    if sidelined := hermes_env.host().sidelined():
        yield Obstacle(sidelined, ONE_EACH)
    elif hermes_env.hands_fires_on() and hermes_env.gateway_pid() is None:
        if hermes_env.is_gateway_unwanted(reconciler.home):
            reason = "the gateway, which runs the jobs of this hermes, was stopped on purpose"
        else:
            reason = (
                "no gateway runs: `hermes serve` and the dashboard of this hermes hand every "
                "fire on to it"
            )
        yield Obstacle(reason, START_GATEWAY)


def of_job(reconciler: HomeReconciler, job: Job) -> str:
    """Why hermes does not run a job that is due, as far as its record tells."""
    record: Mapping[str, Any] = dict(job)
    held = record.get("provider_backoff")
    if isinstance(held, dict) and held.get("until"):
        return f"the provider of its model is over its limit until {held['until']}"
    if reconciler.claimed_elsewhere([job["id"]]):
        return "its fire is claimed: it is being run, or its process died and the claim expires"
    missed = record.get("last_fire_error")
    if isinstance(missed, dict) and missed.get("detail"):
        return str(missed["detail"])
    return ""
