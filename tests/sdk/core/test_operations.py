import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sdk import (
    BadRequestError,
    ContractError,
    ForbiddenError,
    IdentityRejectedError,
    InvalidRequestError,
    NasError,
    RateLimitedError,
    ServerError,
    StatusError,
    UnauthorizedError,
    UnexpectedStatusError,
)
from nas_sdk._core import operations
from nas_sdk._core.operations import Call, decode

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = yaml.safe_load((ROOT / "openapi" / "nas-agent-cron.yaml").read_text())["components"][
    "schemas"
]
FIRE_AT = "2026-06-18T12:34:56.700+02:00"
CALLS: dict[str, Call[Any]] = {
    "provision": operations.provision("job-1", FIRE_AT, "https://a.example"),
    "cancel": operations.cancel("job-1"),
    "list_armed": operations.list_armed(),
}


def body_of(call: Call[Any]) -> Any:
    return json.loads(call.body or b"null")


def test_provision_sends_the_contracts_example() -> None:
    example = SCHEMAS["ProvisionRequest"]["examples"][0]
    call = operations.provision(
        example["job_id"], example["fire_at"], example["agent_callback_url"]
    )
    assert (call.method, call.path) == ("POST", "/api/agent-cron/provision")
    assert call.headers["Content-Type"] == "application/json"
    assert body_of(call) == example


def test_provision_formats_a_datetime_and_uses_it_in_the_key() -> None:
    body = body_of(operations.provision("j", datetime(2026, 1, 2, tzinfo=UTC), "https://a"))
    assert body["fire_at"] == "2026-01-02T00:00:00+00:00"
    assert body["dedup_key"] == "j:2026-01-02T00:00:00+00:00"


def test_cancel_and_list() -> None:
    assert CALLS["cancel"][1:3] == ("POST", "/api/agent-cron/cancel")
    assert body_of(CALLS["cancel"]) == {"job_id": "job-1"}
    assert CALLS["list_armed"][1:3] == ("GET", "/api/agent-cron/list")
    assert CALLS["list_armed"].body is None


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("job_id", ("no spaces", FIRE_AT, "https://a")),
        ("fire_at", ("job", "2026-06-18T12:34:56", "https://a")),
        ("fire_at", ("job", datetime(2026, 6, 18), "https://a")),
        ("agent_callback_url", ("job", FIRE_AT, "agent.example.com")),
        ("dedup_key", ("job", FIRE_AT, "https://a", "another")),
    ],
)
def test_bad_arguments_name_the_field(field: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{field}: ") as caught:
        operations.provision(*arguments)
    assert caught.value.field == field


def test_results() -> None:
    assert decode(CALLS["provision"], 200, b'{"schedule_id": "os_1"}').schedule_id == "os_1"
    assert decode(CALLS["cancel"], 200, b'{"ok": true}') is None
    example = SCHEMAS["ArmedList"]["examples"][0]
    listed = decode(CALLS["list_armed"], 200, json.dumps(example).encode())
    assert [one.to_dict() for one in listed] == example["armed"]


def test_members_that_are_not_known_are_ignored() -> None:
    assert decode(CALLS["provision"], 200, b'{"schedule_id": "x", "new": {}}').schedule_id == "x"
    assert decode(CALLS["cancel"], 200, b'{"ok": true, "new": 1}') is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_of_json_are_read(encoding: str) -> None:
    body = '{"schedule_id": "é"}'.encode(encoding)
    assert decode(CALLS["provision"], 200, body).schedule_id == "é"


UNUSABLE = {
    "empty": b"",
    "empty object": b"{}",
    "list": b"[]",
    "null": b"null",
    "number": b"1",
    "text": b'"ok"',
    "html": b"<!doctype html><h1>Welcome</h1>",
    "cut off": b'{"schedule_id": "os_',
    "two values": b"{} {}",
    "latin-1": '{"schedule_id": "é"}'.encode("latin-1"),
    "binary": bytes(range(256)),
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 200_000,
    "number too long": b'{"schedule_id": ' + b"9" * 10_000 + b"}",
    "wrong types": b'{"schedule_id": 7, "ok": "true", "armed": {}}',
    "nulls": b'{"schedule_id": null, "ok": null, "armed": null}',
    "empty values": b'{"schedule_id": "", "ok": 1, "armed": ""}',
    "surrogate": b'{"schedule_id": "\\ud800", "ok": false}',
    "zero": b'{"schedule_id": 0, "ok": 0, "armed": 0}',
    "too long": b'{"schedule_id": "' + b"x" * 257 + b'"}',
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_bodies_break_the_contract(operation: str, body: bytes) -> None:
    with pytest.raises(ContractError, match=f"^{operation}: the answer breaks") as caught:
        decode(CALLS[operation], 200, body)
    assert caught.value.status == 200


KINDS = [
    (400, BadRequestError),
    (401, UnauthorizedError),
    (403, ForbiddenError),
    (429, RateLimitedError),
    (500, ServerError),
    (503, ServerError),
    (520, ServerError),
    (599, ServerError),
    (100, UnexpectedStatusError),
    (201, UnexpectedStatusError),
    (204, UnexpectedStatusError),
    (301, UnexpectedStatusError),
    (404, UnexpectedStatusError),
    (408, UnexpectedStatusError),
    (418, UnexpectedStatusError),
    (600, UnexpectedStatusError),
    (999, UnexpectedStatusError),
]


@pytest.mark.parametrize(("status", "kind"), KINDS)
@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_every_status_has_its_error_whatever_the_body(
    status: int, kind: type[StatusError], body: bytes
) -> None:
    with pytest.raises(StatusError) as caught:
        decode(CALLS["provision"], status, body)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.code is None


def test_the_servers_code_and_description() -> None:
    body = b'{"error": "invalid_request", "error_description": "fire_at: no UTC offset"}'
    with pytest.raises(BadRequestError) as caught:
        decode(CALLS["provision"], 400, body)
    error = caught.value
    assert (error.code, error.description) == ("invalid_request", "fire_at: no UTC offset")
    assert error.field == "fire_at"
    assert error.message == "provision: NAS answered 400 invalid_request: fire_at: no UTC offset"


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_request"},
        {"error_description": "nothing useful"},
        {"error_description": "two words: x"},
        {"error_description": ": x"},
    ],
)
def test_a_bad_request_without_a_field(body: dict[str, str]) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode(CALLS["provision"], 400, json.dumps(body).encode())
    assert caught.value.field is None


def test_only_invalid_client_is_an_identity_that_was_rejected() -> None:
    with pytest.raises(IdentityRejectedError):
        decode(CALLS["cancel"], 403, b'{"error": "invalid_client"}')
    for body in (b'{"error": "access_denied"}', b"<h1>Forbidden</h1>", b""):
        with pytest.raises(ForbiddenError) as caught:
            decode(CALLS["cancel"], 403, body)
        assert not isinstance(caught.value, IdentityRejectedError)


def test_texts_of_the_other_side_are_one_line_and_short() -> None:
    nasty = "a\r\n\x1b[31mb\u2028c\ud800" + "x" * 10_000
    body = json.dumps({"error": nasty, "error_description": nasty}).encode()
    with pytest.raises(ServerError) as caught:
        decode(CALLS["cancel"], 500, body)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000


GOOD = {"job_id": "a", "fire_at": FIRE_AT, "schedule_id": "s"}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "a",
        {},
        {**GOOD, "job_id": 1},
        {**GOOD, "job_id": ""},
        {**GOOD, "job_id": "a b"},
        {**GOOD, "fire_at": None},
        {**GOOD, "fire_at": "2026-06-18T12:34:56"},
        {**GOOD, "fire_at": 1_750_000_000},
        {**GOOD, "schedule_id": ""},
        {"job_id": "a", "fire_at": FIRE_AT},
    ],
)
def test_malformed_items_are_skipped_with_one_warning(
    bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"armed": [bad, GOOD, bad]}).encode()
    with caplog.at_level(logging.WARNING, "nas_sdk"):
        listed = decode(CALLS["list_armed"], 200, body)
    assert [one.job_id for one in listed] == ["a"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "skipped 2 of 3" in caplog.text


def test_a_good_list_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert len(decode(CALLS["list_armed"], 200, json.dumps({"armed": [GOOD]}).encode())) == 1
    assert caplog.records == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["armed", "ok", "schedule_id", "job_id", "fire_at", "error", "error_description"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(CALLS)),
    st.integers(100, 999) | st.sampled_from([200, 400, 401, 403, 429, 503]),
    st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_nothing_escapes_the_error_tree(operation: str, status: int, body: bytes) -> None:
    shown = ""
    try:
        decode(CALLS[operation], status, body)
    except NasError as error:
        shown = str(error)
    assert (shown == "") <= (status == 200)
    assert shown.isprintable()
