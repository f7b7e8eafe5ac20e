"""Requests that break the contract: each is a 400 and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..runner.checks import Group
from ..runner.context import Context
from ..runner.contract import Clause
from ..runner.wire import CANCEL, PROVISION, CheckFailed, Exchange

GROUP = Group("request")
_FIELDS = ("job_id", "fire_at", "agent_callback_url", "dedup_key")
_OTHER_TYPES: tuple[object, ...] = (None, 7, True, 1.5, ["x"], {"x": "y"})

BAD_JOB_IDS = (
    "",
    "-dash",
    ".dot",
    "_low",
    "two words",
    "sl/ash",
    "ümlaut",
    "new\nline",
    "end\n",
    "nul\0",
)
"""Beside these: one that is a character too long."""
BAD_FIRE_ATS = (
    "",
    "tomorrow",
    "2099-06-18",
    "2099-06-18 12:34:56+00:00",
    "2099-06-18T12:34+00:00",
    "2099-13-01T12:34:56Z",
    "2099-06-32T12:34:56Z",
    "2099-06-18T24:00:00Z",
    "2099-06-18T12:60:00Z",
    "2099-06-18T12:34:56,5Z",
    "2099-06-18T12:34:56.Z",
    "2099-06-18T12:34:56.1234567890Z",
    "2099-06-18T12:34:56+0200",
    "2099-06-18T12:34:56+24:00",
    "2099-06-18T12:34:56Z\n",
    " 2099-06-18T12:34:56Z",
    "4085483696",
)
BAD_CALLBACK_URLS = (
    "",
    "agent.example.com",
    "/relative",
    "ftp://agent.example.com",
    "javascript:alert(1)//",
    "https://",
    "https:///no-host",
    "https://agent.example.com?query=1",
    "https://agent.example.com/#fragment",
    "https://agent.example.com/two words",
    "https://agent.example.com/" + "x" * 2048,
)
BAD_BODIES = (
    b"",
    b"{",
    b"not json",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b'{"job_id": "\xff\xfe"}',
    b"[" * 20_000,
    b'{"job_id":' * 20_000,
)


def _good(context: Context) -> dict[str, object]:
    return context.request(context.job("bad"), context.later())


def _refuse_each(
    context: Context, bodies: Iterable[object], path: str = PROVISION
) -> Iterator[Exchange]:
    for body in bodies:
        exchange = context.agent.post(path, body)
        context.refused(exchange)
        yield exchange


def _refuse(context: Context, bodies: Iterable[object], path: str = PROVISION) -> None:
    for _ in _refuse_each(context, bodies, path):
        pass


def _with_fire_at(context: Context, fire_at: str) -> dict[str, object]:
    return context.request(context.job("bad"), fire_at)


@GROUP.check(
    "missing-field",
    Clause("schemas.ProvisionRequest", "required: dedup_key"),
    "Require every field of the schemas ProvisionRequest and CancelRequest.",
)
def missing_field(context: Context) -> None:
    """A request without a required field is a 400."""
    for field in _FIELDS:
        body = _good(context)
        del body[field]
        _refuse(context, [body])
    _refuse(context, [{}], CANCEL)


@GROUP.check(
    "wrong-type",
    Clause("schemas.JobId", "type: string"),
    "Accept strings only: no number, null, list or object in their place.",
)
def wrong_type(context: Context) -> None:
    """A field of another JSON type is a 400; nothing is converted."""
    for value in _OTHER_TYPES:
        for field in _FIELDS:
            body = _good(context) | {field: value}
            if field in ("job_id", "fire_at"):  # so that a converted value would fit
                body["dedup_key"] = f"{body['job_id']}:{body['fire_at']}"
            _refuse(context, [body])
        _refuse(context, [{"job_id": value}], CANCEL)


@GROUP.check(
    "job-id",
    Clause("schemas.JobId", "maxLength: 128"),
    "Match the whole job_id against the pattern of the schema JobId, at most 128 characters; "
    "mind that $ may match before a line feed.",
)
def job_id(context: Context) -> None:
    """A job_id that is empty, too long or of other characters is a 400."""
    fire_at = context.later()
    for bad in (*BAD_JOB_IDS, context.prefix.ljust(129, "x")):
        _refuse(context, [context.request(bad, fire_at)])
        _refuse(context, [{"job_id": bad}], CANCEL)


@GROUP.check(
    "fire-at",
    Clause("schemas.FireAt", "RFC 3339 with an offset and up to nine fractional digits."),
    "Match the whole fire_at against the pattern of the schema FireAt.",
)
def fire_at(context: Context) -> None:
    """A fire_at that is no RFC 3339 instant is a 400."""
    _refuse(context, (_with_fire_at(context, bad) for bad in BAD_FIRE_ATS))


@GROUP.check(
    "naive-fire-at",
    Clause("schemas.FireAt", "An instant, RFC 3339 with an offset"),
    "Refuse it: without an offset it names no instant.",
)
def naive_fire_at(context: Context) -> None:
    """A fire_at without an offset is a 400, not taken as UTC."""
    bad = ("2099-06-18T12:34:56", "2099-06-18T12:34:56.789")
    _refuse(context, (_with_fire_at(context, each) for each in bad))


@GROUP.check(
    "no-such-day",
    Clause("schemas.FireAt", "An instant"),
    "Check the day as well as the pattern; 30 February must not become 2 March.",
)
def no_such_day(context: Context) -> None:
    """A fire_at on a day the calendar does not have is a 400."""
    bad = ("2099-02-30T12:00:00Z", "2099-02-29T12:00:00Z", "2099-04-31T12:00:00Z")
    _refuse(context, (_with_fire_at(context, each) for each in bad))


@GROUP.check(
    "callback-url",
    Clause("schemas.ProvisionRequest", "public base URL, without credentials, query or fragment."),
    "Match the whole URL against its pattern, at most 2048 characters.",
)
def callback_url(context: Context) -> None:
    """An agent_callback_url that is not an absolute http(s) URL is a 400."""
    _refuse(context, (_good(context) | {"agent_callback_url": bad} for bad in BAD_CALLBACK_URLS))


@GROUP.check(
    "dedup-key",
    Clause("schemas.ProvisionRequest", "`{job_id}:{fire_at}`, of this request, byte for byte."),
    "Compare it with the request's own job_id and fire_at.",
)
def dedup_key(context: Context) -> None:
    """A dedup_key that is not {job_id}:{fire_at} of the request is a 400."""
    body = _good(context)
    other = f"{context.prefix}other:{body['fire_at']}"
    moved = f"{body['job_id']}:{context.later()}"
    _refuse(context, [body | {"dedup_key": bad} for bad in (other, moved, "x" * 22, "x" * 165)])


@GROUP.check(
    "body",
    Clause("responses.BadRequest", "the request breaks this contract."),
    "Catch what the JSON parser raises, of deep nesting and bad UTF-8 too.",
)
def body(context: Context) -> None:
    """A body that is not a JSON object is a 400."""
    for bad in BAD_BODIES:
        for path in (PROVISION, CANCEL):
            context.refused(context.wire.send("POST", path, context.agent.credential, bad))


@GROUP.check(
    "names-field",
    Clause("responses.BadRequest", "`error_description` names the field."),
    'Begin it with the field: "fire_at: no UTC offset in …".',
)
def names_field(context: Context) -> None:
    """error_description names the field that is wrong."""
    for field in _FIELDS:
        good = _good(context)
        without = {name: value for name, value in good.items() if name != field}
        for exchange in _refuse_each(context, [without, good | {field: 7}]):
            said = context.refused(exchange).get("error_description", "")
            if field not in said:
                raise CheckFailed(f"{field} is wrong and the description is {said!r}", exchange)


@GROUP.check(
    "no-effect",
    Clause("responses.BadRequest", "Sending it again unchanged cannot succeed."),
    "Validate the whole request before the job's one-shot is touched.",
)
def no_effect(context: Context) -> None:
    """A refused request changes nothing."""
    job = context.job("bad")
    context.agent.provision(job, context.later())
    before, _ = context.agent.entry(job)
    later = context.request(job, context.later())
    context.agent.post(PROVISION, later | {"agent_callback_url": "nowhere"})
    context.agent.post(PROVISION, later | {"dedup_key": None})
    context.agent.post(PROVISION, context.request(job, "2099-06-18T12:34:56"))
    context.agent.post(CANCEL, {"job_id": [job]})
    after, exchange = context.agent.entry(job)
    if after != before:
        raise CheckFailed(f"the entry was {before} and has changed", exchange)
