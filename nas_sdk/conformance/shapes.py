"""The answers' shapes: status, media type, schema."""

from __future__ import annotations

from .checks import Group
from .contract import Law
from .rig import NOWHERE, Rig, check_instant
from .wire import CANCEL, PROVISION, Broken

GROUP = Group("shape")


@GROUP.check(
    "provision",
    Law("provision", "The job's one-shot is armed."),
    "Answer 200 application/json with the schema ProvisionResult.",
)
def provision(rig: Rig) -> None:
    """A good provision is a 200 with a schedule_id."""
    rig.agent.provision(rig.job("shape"), rig.later())


@GROUP.check(
    "cancel",
    Law("cancel", "The job has no one-shot."),
    "Answer 200 application/json with the schema CancelResult.",
)
def cancel(rig: Rig) -> None:
    """A good cancel is a 200 with {"ok": true}."""
    job = rig.job("shape")
    rig.agent.provision(job, rig.later())
    rig.agent.cancel(job)


@GROUP.check(
    "list",
    Law("list", "What is armed."),
    "Answer 200 application/json with the schema ArmedList; fire_at is RFC 3339 text with "
    "an offset, not a number.",
)
def listing(rig: Rig) -> None:
    """The list is a 200 whose entries have job_id, fire_at and schedule_id."""
    job, fire_at = rig.job("shape"), rig.later()
    schedule_id, _ = rig.agent.provision(job, fire_at)
    entry, exchange = rig.agent.entry(job)
    check_instant(entry, fire_at, exchange)
    if entry["schedule_id"] != schedule_id:
        raise Broken(f"provision answered schedule_id {schedule_id!r}, list another", exchange)


@GROUP.check(
    "error",
    Law("responses.BadRequest", "`invalid_request`: the request breaks this contract."),
    "Answer application/json with the schema Error on every 4xx, from the framework's own "
    "error pages too.",
)
def error(rig: Rig) -> None:
    """A refused request is a 400 with a JSON error and its code."""
    for path in (PROVISION, CANCEL):
        rig.refused(rig.agent.post(path, {}))


@GROUP.check(
    "unknown-members",
    Law("info", "A receiver ignores object members it does not know."),
    "Ignore unknown members of the body; newer agents may send them.",
)
def unknown_members(rig: Rig) -> None:
    """A request with members the NAS does not know is accepted."""
    job = rig.job("shape")
    more = {"x_conformance": {"nested": [1, None]}, "": ""}
    body = rig.request(job, rig.later(), NOWHERE) | more
    rig.expect(rig.agent.post(PROVISION, body), 200, "ProvisionResult")
    rig.expect(rig.agent.post(CANCEL, {"job_id": job} | more), 200, "CancelResult")
