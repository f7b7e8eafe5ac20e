"""The answers' shapes: status, media type, schema."""

from __future__ import annotations

from ..runner.checks import Group
from ..runner.context import NOWHERE, Context, check_instant
from ..runner.contract import Clause
from ..runner.wire import CANCEL, PROVISION, CheckFailed

GROUP = Group("shape")


@GROUP.check(
    "provision",
    Clause("provision", "The job's one-shot is armed."),
    "Answer 200 application/json with the schema ProvisionResult.",
)
def provision(context: Context) -> None:
    """A good provision is a 200 with a schedule_id."""
    context.agent.provision(context.job("shape"), context.later())


@GROUP.check(
    "cancel",
    Clause("cancel", "The job has no one-shot."),
    "Answer 200 application/json with the schema CancelResult.",
)
def cancel(context: Context) -> None:
    """A good cancel is a 200 with {"ok": true}."""
    job = context.job("shape")
    context.agent.provision(job, context.later())
    context.agent.cancel(job)


@GROUP.check(
    "list",
    Clause("list", "What is armed."),
    "Answer 200 application/json with the schema ArmedList; fire_at is RFC 3339 text with "
    "an offset, not a number.",
)
def listing(context: Context) -> None:
    """The list is a 200 whose entries have job_id, fire_at and schedule_id."""
    job, fire_at = context.job("shape"), context.later()
    schedule_id, _ = context.agent.provision(job, fire_at)
    entry, exchange = context.agent.entry(job)
    check_instant(entry, fire_at, exchange)
    if entry["schedule_id"] != schedule_id:
        raise CheckFailed(f"provision answered schedule_id {schedule_id!r}, list another", exchange)


@GROUP.check(
    "error",
    Clause("responses.BadRequest", "`invalid_request`: the request breaks this contract."),
    "Answer application/json with the schema Error on every 4xx, from the framework's own "
    "error pages too.",
)
def error(context: Context) -> None:
    """A refused request is a 400 with a JSON error and its code."""
    for path in (PROVISION, CANCEL):
        context.refused(context.agent.post(path, {}))


@GROUP.check(
    "key-set",
    Clause("keySet", "The JSON Web Key Set (RFC 7517) of NAS."),
    "Serve it at /.well-known/jwks.json to everybody, each key with its kid.",
)
def key_set(context: Context) -> None:
    """The key set is a 200 for anyone, and every key has a name."""
    context.key_set()


@GROUP.check(
    "unknown-members",
    Clause("info", "A receiver ignores object members it does not know."),
    "Ignore unknown members of the body; newer agents may send them.",
)
def unknown_members(context: Context) -> None:
    """A request with members the NAS does not know is accepted."""
    job = context.job("shape")
    more = {"x_conformance": {"nested": [1, None]}, "": ""}
    body = context.request(job, context.later(), NOWHERE) | more
    context.expect(context.agent.post(PROVISION, body), 200, "ProvisionResult")
    context.expect(context.agent.post(CANCEL, {"job_id": job} | more), 200, "CancelResult")
