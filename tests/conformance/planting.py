"""What a planted bug is, and the kit's run against it."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import attrs
import httpx
from aiohttp import web
from aiohttp.typedefs import Handler

from nas_conformance.runner import suite
from nas_conformance.runner.options import Options, Patience
from nas_conformance.runner.suite import Report
from nas_server.app import Nas
from nas_server.store import Store
from tests.support.nas_in_thread import nas_in_thread, steady_store

BRIEF = Patience(soon=0.5, retry_after=2, quiet=0.7, most=8.0)
SEED = 7


@attrs.frozen
class Bug:
    """The reference NAS with one thing wrong, and the check that must say so."""

    name: str
    words: str
    caught_by: str
    store: Callable[[], Store] = steady_store
    change: Callable[[Nas], object] = lambda nas: None


def run_kit(bug: Bug, only: Iterable[str] = (), *, receive: bool = True) -> Report:
    """The kit's report on a NAS with this bug."""
    with nas_in_thread(bug.store(), bug.change) as nas, httpx.Client(trust_env=False) as client:
        given = Options(
            base_url=nas.url,
            token=nas.token,
            second=nas.second,
            expired=nas.expired,
            unprovisioned=nas.unprovisioned,
            receive=receive,
            audience=nas.audience,
            patience=BRIEF,
            seed=SEED,
        )
        return suite.run(given, only=only, client=client)


def failed(report: Report) -> Sequence[str]:
    """The names of the checks that failed."""
    return [verdict.check.name for verdict in report.verdicts if verdict.broken is not None]


NextHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Meddle = Callable[[web.Request, NextHandler], Awaitable[web.StreamResponse]]


def around(meddle: Meddle, *, inside: bool = False) -> Callable[[Nas], None]:
    """A change that puts a function around every request and its answer.

    `inside`: where errors are still exceptions, which become answers further out.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await meddle(request, handler)

    return lambda nas: nas.app.middlewares.insert(
        len(nas.app.middlewares) if inside else 0, middleware
    )


Answered = Callable[[web.Request, int, Any], web.Response | None]


def answering(change: Answered) -> Callable[[Nas], None]:
    """A change that may replace an answer, given its status and its JSON body."""

    async def meddle(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        body = json.loads(response.text or "null")
        return change(request, response.status, body) or response

    return around(meddle)


Edit = Callable[[dict[str, Any]], object]


def editing(edit: Edit, path: str = "/provision") -> Callable[[Nas], None]:
    """A change that edits the body of a request, if it is a JSON object, before it is judged."""

    async def meddle(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        if request.path.endswith(path):
            _edit(request, await request.read(), edit)
        return await handler(request)

    return around(meddle, inside=True)


def _edit(request: web.Request, raw: bytes, edit: Edit) -> None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return
    if isinstance(body, dict):
        had_its_key = body.get("dedup_key") == _key(body)
        edit(body)
        if had_its_key:
            body["dedup_key"] = _key(body)
        # What `read` returns from now on; aiohttp keeps it under this name.
        vars(request)["_read_bytes"] = json.dumps(body).encode()


def _key(body: dict[str, Any]) -> str:
    return f"{body.get('job_id')}:{body.get('fire_at')}"
