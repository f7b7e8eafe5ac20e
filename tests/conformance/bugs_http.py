"""Bugs of the HTTP side: who may ask, what is refused, what answers look like."""

import json
import re
from typing import Any

from aiohttp import web

from nas_sdk.errors import InvalidRequestError
from nas_server.accounts import Accounts, AgentAccount, InvalidTokenError, UnprovisionedError
from nas_server.app import Nas
from nas_server.clock import system_clock
from tests.conformance.planting import Bug, NextHandler, answering, around, editing


def _error(status: int, code: str, **headers: str) -> web.Response:
    return web.json_response({"error": code}, status=status, headers=headers)


def _is(request: web.Request, name: str) -> bool:
    return request.path.endswith(f"/{name}")


# Who is calling.


def _no_challenge(request: web.Request, status: int, body: Any) -> web.Response | None:
    return web.json_response(body, status=401) if status == 401 else None


def _forbidden(request: web.Request, status: int, body: Any) -> web.Response | None:
    known = status == 401 and "Authorization" in request.headers
    return _error(403, "invalid_client") if known else None


def _bad_request_without(request: web.Request, status: int, body: Any) -> web.Response | None:
    missing = status == 401 and "Authorization" not in request.headers
    return _error(400, "invalid_request") if missing else None


def _bad_request_for_basic(request: web.Request, status: int, body: Any) -> web.Response | None:
    basic = request.headers.get("Authorization", "").startswith("Basic")
    return _error(400, "invalid_request") if basic else None


def _echo(request: web.Request, status: int, body: Any) -> web.Response | None:
    if status != 401:
        return None
    said = f"unknown: {request.headers.get('Authorization')}"
    body = {"error": "invalid_token", "error_description": said}
    return web.json_response(body, status=401, headers={"WWW-Authenticate": "Bearer"})


def _acts_first(nas: Nas) -> None:
    async def meddle(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        if _is(request, "cancel") and "Authorization" not in request.headers:
            job_id = json.loads(await request.read())["job_id"]
            await nas._store.cancel("one", job_id, system_clock())
        return await handler(request)

    around(meddle, inside=True)(nas)


def _other_identify(
    nas: Nas, on_invalid: type[Exception], on_unprovisioned: type[Exception]
) -> None:
    identify = nas.accounts.identify

    async def changed(token: str, now: int) -> AgentAccount:
        try:
            return await identify(token, now)
        except InvalidTokenError:
            raise (on_invalid if token.startswith("nas_") else InvalidTokenError) from None
        except UnprovisionedError:
            raise on_unprovisioned from None

    setattr(nas.accounts, Accounts.identify.__name__, changed)


IDENTITY = [
    Bug(
        "no-challenge",
        "401 without WWW-Authenticate",
        "auth.challenge",
        change=answering(_no_challenge),
    ),
    Bug(
        "forbids-unknown", "403 for an unknown token", "auth.garbage", change=answering(_forbidden)
    ),
    Bug(
        "missing-is-400",
        "400 without a token",
        "auth.missing",
        change=answering(_bad_request_without),
    ),
    Bug(
        "basic-is-400",
        "400 for another scheme",
        "auth.scheme",
        change=answering(_bad_request_for_basic),
    ),
    Bug("echoes-token", "the token in the refusal", "auth.no-echo", change=answering(_echo)),
    Bug("acts-first", "cancels, then looks at the token", "auth.no-effect", change=_acts_first),
    Bug(
        "expired-is-403",
        "403 for an expired token",
        "auth.expired",
        change=lambda nas: _other_identify(nas, UnprovisionedError, UnprovisionedError),
    ),
    Bug(
        "revoked-is-401",
        "401 for a token of no agent",
        "auth.unprovisioned",
        change=lambda nas: _other_identify(nas, InvalidTokenError, InvalidTokenError),
    ),
]


# What answers look like.


def _html(request: web.Request, status: int, body: Any) -> web.Response | None:
    page = "<html><h1>Bad Request</h1></html>"
    return web.Response(status=400, text=page, content_type="text/html") if status == 400 else None


def _unprocessable(request: web.Request, status: int, body: Any) -> web.Response | None:
    return web.json_response(body, status=422) if status == 400 else None


def _numbers(request: web.Request, status: int, body: Any) -> web.Response | None:
    if status != 200 or not _is(request, "list"):
        return None
    return web.json_response({"armed": [one | {"fire_at": 4085483696} for one in body["armed"]]})


def _bare_list(request: web.Request, status: int, body: Any) -> web.Response | None:
    return web.json_response(body["armed"]) if status == 200 and _is(request, "list") else None


def _without_kid(request: web.Request, status: int, body: Any) -> web.Response | None:
    if not _is(request, "jwks.json"):
        return None
    keys = [{name: key[name] for name in key if name != "kid"} for key in body["keys"]]
    return web.json_response({"keys": keys})


def _created(request: web.Request, status: int, body: Any) -> web.Response | None:
    made = status == 200 and _is(request, "provision")
    return web.json_response(body, status=201) if made else None


def _empty_cancel(request: web.Request, status: int, body: Any) -> web.Response | None:
    done = status == 200 and _is(request, "cancel")
    return web.json_response({}) if done else None


async def _no_extras(request: web.Request, handler: NextHandler) -> web.StreamResponse:
    if _is(request, "provision") and b'"x_' in await request.read():
        return _error(400, "invalid_request")
    return await handler(request)


def _nameless(request: web.Request, status: int, body: Any) -> web.Response | None:
    return _error(400, "invalid_request") if status == 400 else None


ANSWERS = [
    Bug("html-errors", "an HTML page for a bad request", "shape.error", change=answering(_html)),
    Bug("422", "422 for a bad request", "shape.error", change=answering(_unprocessable)),
    Bug("numbers-listed", "fire_at listed as a number", "shape.list", change=answering(_numbers)),
    Bug("bare-list", "the list without its object", "shape.list", change=answering(_bare_list)),
    Bug("nameless-keys", "keys without a kid", "shape.key-set", change=answering(_without_kid)),
    Bug("created-201", "201 for a provision", "shape.provision", change=answering(_created)),
    Bug("empty-cancel", "{} for a cancel", "shape.cancel", change=answering(_empty_cancel)),
    Bug(
        "no-extras",
        "unknown members refused",
        "shape.unknown-members",
        change=around(_no_extras, inside=True),
    ),
    Bug("nameless", "no field named", "request.names-field", change=answering(_nameless)),
]


# What is refused: each takes something that it must not.


def _fill_key(body: dict[str, Any]) -> None:
    body.setdefault("dedup_key", f"{body.get('job_id')}:{body.get('fire_at')}")


def _any_key(body: dict[str, Any]) -> None:
    if isinstance(body.get("dedup_key"), str):
        body["dedup_key"] = f"{body.get('job_id')}:{body.get('fire_at')}"


def _to_text(body: dict[str, Any]) -> None:
    if type(body.get("job_id")) is int:
        body["job_id"] = str(body["job_id"])


def _short_ids(body: dict[str, Any]) -> None:
    if isinstance(body.get("job_id"), str):
        body["job_id"] = body["job_id"][:128]


def _strip_ids(body: dict[str, Any]) -> None:
    if isinstance(body.get("job_id"), str):
        body["job_id"] = body["job_id"].removesuffix("\n")


def _sub_fire_at(body: dict[str, Any], pattern: str, by: str) -> None:
    if isinstance(body.get("fire_at"), str):
        body["fire_at"] = re.sub(pattern, by, body["fire_at"])


def _any_url(body: dict[str, Any]) -> None:
    if isinstance(body.get("agent_callback_url"), str):
        body["agent_callback_url"] = "https://nas-conformance.invalid"


async def _crash_on_bad_json(request: web.Request, handler: NextHandler) -> web.StreamResponse:
    if request.can_read_body:
        try:
            json.loads(await request.read())
        except (ValueError, RecursionError):
            return _error(500, "server_error")
    return await handler(request)


async def _crash_on_escapes(request: web.Request, handler: NextHandler) -> web.StreamResponse:
    if b"\\u" in await request.read():
        return _error(500, "server_error")
    return await handler(request)


async def _short_offsets(request: web.Request, handler: NextHandler) -> web.StreamResponse:
    if re.search(rb"[+-](1[5-9]|2[0-3]):[0-5][0-9]\"", await request.read()):
        return _error(400, "invalid_request")
    return await handler(request)


def _cancels_first(nas: Nas) -> None:
    async def meddle(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except InvalidRequestError:
            job_id = re.search(rb'"job_id": "([^"]*)"', await request.read())
            if _is(request, "provision") and job_id:
                await nas._store.cancel("one", job_id[1].decode(), system_clock())
            raise

    around(meddle, inside=True)(nas)


REFUSALS = [
    Bug(
        "fills-key",
        "a missing dedup_key made up",
        "request.missing-field",
        change=editing(_fill_key),
    ),
    Bug(
        "cancels-no-id",
        "a cancel without a job_id taken",
        "request.missing-field",
        change=editing(lambda body: body.setdefault("job_id", "none"), "/cancel"),
    ),
    Bug("converts", "a number taken as job_id", "request.wrong-type", change=editing(_to_text)),
    Bug(
        "converts-cancel",
        "the same in cancel",
        "request.wrong-type",
        change=editing(_to_text, "/cancel"),
    ),
    Bug("cuts-ids", "a job_id of 129 characters cut", "request.job-id", change=editing(_short_ids)),
    Bug(
        "cuts-ids-cancel",
        "the same in cancel",
        "request.job-id",
        change=editing(_short_ids, "/cancel"),
    ),
    Bug("strips-ids", "a line feed after job_id", "request.job-id", change=editing(_strip_ids)),
    Bug(
        "space-for-t",
        "a space instead of the T",
        "request.fire-at",
        change=editing(lambda body: _sub_fire_at(body, "(?<=[0-9]) (?=[0-9])", "T")),
    ),
    Bug(
        "naive-is-utc",
        "no offset taken for UTC",
        "request.naive-fire-at",
        change=editing(lambda body: _sub_fire_at(body, r"(:[0-9.]+)$", r"\1Z")),
    ),
    Bug(
        "rolls-over",
        "30 February taken for 1 March",
        "request.no-such-day",
        change=editing(lambda body: _sub_fire_at(body, "-02-(29|30)T", "-03-01T")),
    ),
    Bug("any-url", "any callback URL", "request.callback-url", change=editing(_any_url)),
    Bug("any-key", "any dedup_key", "request.dedup-key", change=editing(_any_key)),
    Bug(
        "bad-json-500",
        "500 for bad JSON",
        "request.body",
        change=around(_crash_on_bad_json, inside=True),
    ),
    Bug("half-done", "a refused provision cancels", "request.no-effect", change=_cancels_first),
    Bug(
        "escapes-500",
        "500 for what is not ASCII",
        "fuzz.provision",
        change=around(_crash_on_escapes, inside=True),
    ),
    Bug(
        "escapes-500-cancel",
        "the same in cancel",
        "fuzz.cancel",
        change=around(_crash_on_escapes, inside=True),
    ),
    Bug(
        "short-offsets",
        "offsets above 14 h refused",
        "fuzz.valid",
        change=around(_short_offsets, inside=True),
    ),
]

HTTP_BUGS = [*IDENTITY, *ANSWERS, *REFUSALS]
