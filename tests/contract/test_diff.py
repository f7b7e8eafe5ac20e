"""`scripts/contract diff`: what a change of the contract weighs, and for whom."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from tools.contract import versions
from tools.contract.__main__ import main
from tools.contract.change import Change, Flow, Weight
from tools.contract.changes import changes
from tools.contract.releases import RELEASED
from tools.contract.schemas import Schemas
from tools.contract.spec import load

Spec = dict[str, Any]
BREAKING, SAFE, WORDS = Weight.BREAKING, Weight.SAFE, Weight.WORDS
CONTRACT = load(RELEASED / "1.0.0.yaml")
"""One that never changes: what is judged here is the guard, not today's contract."""


def call(spec: Spec, name: str) -> Any:
    return next(iter(spec["paths"][f"/api/agent-cron/{name}"].values()))


def fire(spec: Spec) -> Any:
    return spec["webhooks"]["cronFire"]["post"]


def schema(spec: Spec, name: str) -> Any:
    return spec["components"]["schemas"][name]


def member(spec: Spec, name: str, field: str) -> Any:
    return schema(spec, name)["properties"][field]


NOTE = {"type": "string", "maxLength": 9}
HEADER = {"schema": {"type": "string", "maxLength": 9}}

# What is edited, and every change that this makes: where, what, weight.
EDITS: dict[str, tuple[Callable[[Spec], object], list[tuple[str, str, Weight]]]] = {
    "nothing": (lambda s: None, []),
    "a new optional field of a request": (
        lambda s: schema(s, "ProvisionRequest")["properties"].update(note=NOTE),
        [("provision request: note", "added", SAFE)],
    ),
    "a new required field of a request": (
        lambda s: (
            schema(s, "CancelRequest")["properties"].update(note=NOTE),
            schema(s, "CancelRequest")["required"].append("note"),
        ),
        [
            ("cancel request: note", "now required", BREAKING),
            ("cancel request: note", "added", SAFE),
        ],
    ),
    "a new required field of an answer": (
        lambda s: (
            schema(s, "ProvisionResult")["properties"].update(note=NOTE),
            schema(s, "ProvisionResult")["required"].append("note"),
        ),
        [("provision answer 200: note", "added", SAFE)],
    ),
    "a removed field of a request": (
        lambda s: (
            schema(s, "ProvisionRequest")["properties"].pop("dedup_key"),
            schema(s, "ProvisionRequest")["required"].remove("dedup_key"),
        ),
        [("provision request: dedup_key", "removed", BREAKING)],
    ),
    "a removed field of an answer": (
        lambda s: (
            schema(s, "ArmedOneShot")["properties"].pop("schedule_id"),
            schema(s, "ArmedOneShot")["required"].remove("schedule_id"),
        ),
        [("list answer 200: armed[].schedule_id", "removed", BREAKING)],
    ),
    "a field of a request is optional": (
        lambda s: schema(s, "ProvisionRequest")["required"].remove("dedup_key"),
        [("provision request: dedup_key", "no longer required", SAFE)],
    ),
    "a field of an answer is optional": (
        lambda s: schema(s, "ArmedOneShot")["required"].remove("schedule_id"),
        [("list answer 200: armed[].schedule_id", "no longer required", BREAKING)],
    ),
    "a field of the fire is optional": (
        lambda s: schema(s, "FireRequest")["required"].remove("fire_at"),
        [("cronFire request: fire_at", "no longer required", BREAKING)],
    ),
    "a new field of the fire": (
        lambda s: schema(s, "FireRequest")["properties"].update(note=NOTE),
        [("cronFire request: note", "added", SAFE)],
    ),
    "a field of what agents answer is required": (
        lambda s: (
            schema(s, "FireGone")["properties"].update(note=NOTE),
            schema(s, "FireGone")["required"].append("note"),
        ),
        [
            ("cronFire answer 200: note", "now required", BREAKING),
            ("cronFire answer 200: note", "added", SAFE),
        ],
    ),
    "a longer text of an answer": (
        lambda s: member(s, "Error", "error").update(maxLength=128),
        [
            (f"{name} answer {status}: error", "maxLength was 64, is 128", BREAKING)
            for name in ("provision", "cancel", "list")
            for status in ("400", "401", "403", "429", "5XX")
        ],
    ),
    "a longer text of a request": (
        lambda s: member(s, "ProvisionRequest", "agent_callback_url").update(maxLength=4096),
        [("provision request: agent_callback_url", "maxLength was 2048, is 4096", SAFE)],
    ),
    "a shorter text of a request": (
        lambda s: member(s, "ProvisionRequest", "agent_callback_url").update(maxLength=1024),
        [("provision request: agent_callback_url", "maxLength was 2048, is 1024", BREAKING)],
    ),
    "a bound that was none": (
        lambda s: member(s, "Error", "error_description").update(minLength=1),
        [
            (f"{name} answer {status}: error_description", "minLength was none, is 1", SAFE)
            for name in ("provision", "cancel", "list")
            for status in ("400", "401", "403", "429", "5XX")
        ],
    ),
    "another pattern": (
        lambda s: member(s, "ProvisionRequest", "agent_callback_url").update(pattern="^https:.*$"),
        [
            (
                "provision request: agent_callback_url",
                r"pattern was ^https?://[^\s/?#@]+(/[^\s?#]*)?$, is ^https:.*$",
                BREAKING,
            )
        ],
    ),
    "another type of an answer": (
        lambda s: member(s, "CancelResult", "ok").update(type=["boolean", "null"]),
        [("cancel answer 200: ok", "type null allowed now", BREAKING)],
    ),
    "a value more of an answer": (
        lambda s: member(s, "CancelResult", "ok").pop("const"),
        [("cancel answer 200: ok", "any value is allowed now", BREAKING)],
    ),
    "a value more from agents": (
        lambda s: (
            member(s, "FireGone", "status").pop("const"),
            member(s, "FireGone", "status").update(enum=["gone", "lost"]),
        ),
        [("cronFire answer 200: status", "value 'lost' allowed now", SAFE)],
    ),
    "a value less from agents": (
        lambda s: member(s, "FireGone", "status").update(const="left"),
        [
            ("cronFire answer 200: status", "value 'gone' no longer allowed", BREAKING),
            ("cronFire answer 200: status", "value 'left' allowed now", SAFE),
        ],
    ),
    "other members forbidden in a request": (
        lambda s: schema(s, "CancelRequest").update(additionalProperties=False),
        [("cancel request", "other members are restricted now", BREAKING)],
    ),
    "a keyword that is not understood": (
        lambda s: schema(s, "CancelRequest").update(propertyNames={"maxLength": 9}),
        [("cancel request", "propertyNames changed, and this tool cannot judge that", BREAKING)],
    ),
    "a deprecated field": (
        lambda s: member(s, "ProvisionRequest", "dedup_key").update(deprecated=True),
        [("provision request: dedup_key", "deprecated", SAFE)],
    ),
    "a new operation": (
        lambda s: s["paths"].update({"/api/agent-cron/pause": {"post": {"operationId": "pause"}}}),
        [("pause", "operation POST /api/agent-cron/pause added", SAFE)],
    ),
    "a removed operation": (
        lambda s: s["paths"].pop("/api/agent-cron/list"),
        [("list", "operation GET /api/agent-cron/list removed", BREAKING)],
    ),
    "a removed webhook": (
        lambda s: s.pop("webhooks"),
        [("cronFire", "webhook POST cronFire removed", BREAKING)],
    ),
    "a new webhook": (
        lambda s: s["webhooks"].update(cronWarn={"post": {"responses": {}}}),
        [("POST cronWarn", "webhook POST cronWarn added", SAFE)],
    ),
    "a renamed operation id": (
        lambda s: call(s, "list").update(operationId="listArmed"),
        [("list", "is called listArmed now, which renames what is generated from it", BREAKING)],
    ),
    "a deprecated operation": (
        lambda s: call(s, "list").update(deprecated=True),
        [("list", "deprecated", SAFE)],
    ),
    "another credential": (
        lambda s: call(s, "list").update(security=[{"fireToken": []}]),
        [
            ("list", "agentToken is not enough any more", BREAKING),
            ("list", "fireToken is enough now", SAFE),
        ],
    ),
    "the same credential means another thing": (
        lambda s: s["components"]["securitySchemes"]["fireToken"].update(scheme="basic"),
        [
            ("cronFire", "fireToken is not enough any more", BREAKING),
            ("cronFire", "fireToken is enough now", SAFE),
        ],
    ),
    "a new error": (
        lambda s: call(s, "list")["responses"].update({"409": {"description": "busy"}}),
        [("list answer 409", "added", SAFE)],
    ),
    "an error that was in a range": (
        lambda s: call(s, "list")["responses"].update({"503": {"description": "busy"}}),
        [
            ("list answer 503", "application/json removed", BREAKING),
            ("list answer 503 header Retry-After", "removed", BREAKING),
            ("list answer 503", "other description", WORDS),
        ],
    ),
    "a new success": (
        lambda s: call(s, "list")["responses"].update({"204": {"description": "none"}}),
        [("list answer 204", "added", BREAKING)],
    ),
    "a removed success": (
        lambda s: call(s, "list")["responses"].pop("200"),
        [("list answer 200", "removed", BREAKING)],
    ),
    "a removed error": (
        lambda s: call(s, "list")["responses"].pop("429"),
        [("list answer 429", "removed", SAFE)],
    ),
    "agents may answer more": (
        lambda s: fire(s)["responses"].update({"410": {"description": "gone"}}),
        [("cronFire answer 410", "added", SAFE)],
    ),
    "agents may answer less": (
        lambda s: fire(s)["responses"].pop("200"),
        [("cronFire answer 200", "removed", BREAKING)],
    ),
    "a removed header of an answer": (
        lambda s: s["components"]["responses"]["RateLimited"].pop("headers"),
        [
            (f"{name} answer 429 header Retry-After", "removed", BREAKING)
            for name in ("provision", "cancel", "list")
        ],
    ),
    "a new header of an answer": (
        lambda s: s["components"]["responses"]["IdentityRejected"].update(headers={"X-A": HEADER}),
        [
            (f"{name} answer 403 header X-A", "added", SAFE)
            for name in ("provision", "cancel", "list")
        ],
    ),
    "a new required parameter": (
        lambda s: call(s, "list").update(
            parameters=[{"name": "page", "in": "query", "required": True, **HEADER}]
        ),
        [("list query parameter page", "added, and required", BREAKING)],
    ),
    "a new optional parameter": (
        lambda s: s["paths"]["/api/agent-cron/list"].update(
            parameters=[{"name": "page", "in": "query", **HEADER}]
        ),
        [("list query parameter page", "added", SAFE)],
    ),
    "a body that may be left out of the fire": (
        lambda s: fire(s)["requestBody"].pop("required"),
        [("cronFire request", "no longer required", BREAKING)],
    ),
    "a body that may be left out of a request": (
        lambda s: call(s, "cancel")["requestBody"].pop("required"),
        [("cancel request", "no longer required", SAFE)],
    ),
    "another content type": (
        lambda s: call(s, "cancel")["requestBody"].update(content={"text/plain": {}}),
        [
            ("cancel request", "application/json removed", BREAKING),
            ("cancel request", "text/plain added", SAFE),
        ],
    ),
    "a server that is gone": (
        lambda s: s.update(servers=[]),
        [
            (
                "the contract",
                f"server {CONTRACT['servers'][0]['url']} removed",
                BREAKING,
            )
        ],
    ),
    "an operation's own server": (
        lambda s: call(s, "list").update(servers=[{"url": "/v2"}]),
        [("list", "servers changed, and this tool cannot judge that", BREAKING)],
    ),
    "other words": (
        lambda s: (
            s["info"].update(description="shorter"),
            call(s, "list").update(summary="shorter"),
            schema(s, "ArmedList").update(title="The list"),
        ),
        [
            ("the contract", "other title, description or tags", WORDS),
            ("list answer 200", "other title", WORDS),
            ("list", "other summary", WORDS),
        ],
    ),
    "a schema under another name": (
        lambda s: (
            s["components"]["schemas"].update(Cancelled=schema(s, "CancelResult")),
            call(s, "cancel")["responses"]["200"]["content"]["application/json"].update(
                schema={"$ref": "#/components/schemas/Cancelled"}
            ),
        ),
        [],
    ),
}


def edited(edit: Callable[[Spec], object]) -> Spec:
    spec = copy.deepcopy(CONTRACT)
    edit(spec)
    return spec


@pytest.mark.parametrize("name", EDITS)
def test_what_a_change_weighs(name: str) -> None:
    edit, expected = EDITS[name]
    found = changes(CONTRACT, edited(edit))
    assert [(one.where, one.what, one.weight) for one in found] == expected


@pytest.mark.parametrize("name", EDITS)
def test_a_change_taken_back_is_a_change_too(name: str) -> None:
    there = changes(CONTRACT, edited(EDITS[name][0]))
    back = changes(edited(EDITS[name][0]), CONTRACT)
    assert bool(there) == bool(back)


# Whatever the schemas: a value that one side sends and the other refuses is a break.

_texts = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 4),
        "enum": st.lists(st.text("ab", max_size=3), min_size=1, max_size=3),
        "pattern": st.sampled_from(["^a*$", "^[ab]+$"]),
    },
)
_numbers = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number", ["integer", "null"]])},
    optional={
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-1, 3),
        "const": st.integers(-1, 1),
    },
)
_values = st.one_of(st.none(), st.text("ab", max_size=4), st.integers(-3, 3), st.just(0.5))


def _objects(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # Always the same members: a new one is safe because nobody sends it yet, and here they would.
    members = st.fixed_dictionaries({"x": below, "y": below})
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": members},
        optional={
            "required": st.lists(st.sampled_from("xy"), max_size=2, unique=True),
            "additionalProperties": st.booleans(),
        },
    )


def _lists(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    bounds = {"items": below, "maxItems": st.integers(0, 2), "uniqueItems": st.booleans()}
    return st.fixed_dictionaries({"type": st.just("array")}, optional=bounds)


def _alternatives(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"anyOf": st.lists(below, min_size=1, max_size=2)})


_schemas = st.recursive(
    st.one_of(_texts, _numbers, st.just({})),
    lambda below: st.one_of(_objects(below), _lists(below), _alternatives(below)),
    max_leaves=3,
)
_documents = st.recursive(
    _values,
    lambda below: st.one_of(
        st.dictionaries(st.sampled_from("xyz"), below, max_size=2), st.lists(below, max_size=2)
    ),
    max_leaves=3,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_schemas, _schemas, st.lists(_documents, min_size=5, max_size=8))
def test_no_break_is_missed(old: Any, new: Any, documents: list[Any]) -> None:
    breaks = {
        flow: any(one.weight is BREAKING for one in Schemas({}, {}, flow).changes(old, new, "here"))
        for flow in Flow
    }
    for document in documents:
        had, has = (OAS31Validator(one).is_valid(document) for one in (old, new))
        assert had <= has or breaks[Flow.TO_NAS]
        assert has <= had or breaks[Flow.TO_AGENT]


def test_a_schema_that_holds_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    spec = {"components": {"schemas": {"Node": node}}}
    ref = {"$ref": "#/components/schemas/Node"}
    assert not list(Schemas(spec, spec, Flow.TO_NAS).changes(ref, ref, "here"))


@pytest.mark.parametrize(
    ("base", "weight", "least"),
    [
        ("1.2.3", BREAKING, "2.0.0"),
        ("1.2.3", SAFE, "1.3.0"),
        ("1.2.3", WORDS, "1.2.4"),
        ("1.2.3", None, "1.2.3"),
        ("0.2.3", BREAKING, "0.3.0"),
        ("0.2.3", SAFE, "0.3.0"),
    ],
)
def test_the_version_that_changes_need(base: str, weight: Weight | None, least: str) -> None:
    found = [] if weight is None else [Change("here", "something", weight)]
    assert versions.needed(base, found) == least


@pytest.mark.parametrize(
    ("edit", "version", "status", "last"),
    [
        ("nothing", "1.0.0", 0, "contract 1.0.0 to 1.0.0: no change"),
        (
            "a removed field of an answer",
            "1.1.0",
            1,
            "version 1.1.0 does not say so: it has to be 2.0.0 at least",
        ),
        ("a removed field of an answer", "2.0.0", 0, ""),
        (
            "a new operation",
            "1.0.1",
            0,
            "version 1.0.1 is let through; 1.1.0 would say what changed",
        ),
        ("a new operation", "1.1.0", 0, ""),
        ("nothing", "0.9.0", 1, "version 0.9.0 does not say so: it has to be 1.0.0 at least"),
    ],
)
def test_the_command(
    edit: str,
    version: str,
    status: int,
    last: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    head = edited(EDITS[edit][0])
    head["info"]["version"] = version
    base, file = tmp_path / "base.yaml", tmp_path / "head.yaml"
    base.write_text(yaml.safe_dump(CONTRACT))
    file.write_text(yaml.safe_dump(head))
    assert main(["diff", str(base), str(file)]) == status
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].endswith(last)
    assert all(len(line) < 80 for line in shown)


def test_a_base_that_is_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["diff", "no-such-thing"]) == 2
    shown = capsys.readouterr().err
    assert shown == "no-such-thing is no file, no released version and no git revision\n"
    file = tmp_path / "broken.yaml"
    file.write_text("a: [")
    assert main(["diff", str(file)]) == 2
    assert "broken.yaml: while parsing" in capsys.readouterr().err
